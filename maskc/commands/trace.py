"""``maskc trace``: a mask_mod or a score_mod as a program."""

from __future__ import annotations

import click

from maskc.commands import arguments
from maskc.commands.output import json_option, say_json
from maskc.view.terminal import say


@click.command()
@click.argument("callable", metavar="PACKAGE.MODULE:FUNCTION")
@arguments.known_sizes
@click.option("--plain", is_flag=True, help="In normal form, without the callable's names.")
@json_option
def trace(callable: str, plain: bool, as_json: bool, **sizes: int | None) -> None:
    """Print the program of a mask_mod or a score_mod.

    The function is run once, on tensors without data. With sizes, an operation that no program
    has becomes a table of its values.
    """
    from maskc.tracing.reference import trace_reference

    known = {name: size for name, size in sizes.items() if size is not None}
    traced = trace_reference(callable, known)
    if not as_json:
        say(traced.text(names=not plain))
        return
    shapes = {name: list(getattr(value, "shape", ())) for name, value in traced.inputs.items()}
    found = {"program": traced.text(names=not plain), "canonical": traced.text(names=False)}
    say_json({**found, "inputs": shapes})
