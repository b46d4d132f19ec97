"""``maskc emit``: a program as Python that needs torch alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.files.write import write_text
from maskc.options import Target
from maskc.view.terminal import say


@click.command()
@arguments.program_argument
@arguments.define_option
@click.option(
    "--target",
    type=click.Choice(get_args(Target)),
    default="flex",
    show_default=True,
    help="The keywords of flex_attention, the mask of SDPA, or a whole attention(q, k, v).",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file."
)
def emit(
    program: str, constants: tuple[tuple[str, Any], ...], target: Target, output: Path | None
) -> None:
    """Write a program as Python that needs torch alone."""
    source = load_program(program, constants).emit(target)
    if output is None:
        say(source, nl=False)
        return
    write_text(output, source)
    say(f"wrote {output}")
