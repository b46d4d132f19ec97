"""``maskc show``: a mask as text, or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.loading import read_source
from maskc.view.terminal import say

if TYPE_CHECKING:
    from maskc.program import Program


@click.command()
@arguments.program_argument
@arguments.define_option
@arguments.size_options(b=1, h=1, q=32)
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=0), default=0, help="Which batch to show."
)
@click.option(
    "--head", metavar="N", type=click.IntRange(min=0), default=0, help="Which head to show."
)
@click.option(
    "--width", metavar="N", type=click.IntRange(min=1), default=32, help="The most squares a line."
)
@click.option(
    "--block", metavar="N", type=click.IntRange(min=1), help="Side of a tile of the picture."
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write a picture."
)
@arguments.seed_option
def show(
    program: str,
    constants: tuple[tuple[str, Any], ...],
    batch: int,
    head: int,
    width: int,
    block: int | None,
    output: Path | None,
    seed: int,
    **sizes: Any,
) -> None:
    """Show a mask as text, or as a picture with -o.

    Its inputs are drawn at random.
    """
    from maskc.view.by_point import by_point
    from maskc.view.grid import grid

    compiled = load_program(program, constants)
    shape = arguments.call_sizes(**sizes)
    if batch >= shape["batch_size"] or head >= shape["num_heads"]:
        raise click.UsageError("--batch and --head count from 0 and stay below --b and --h")
    mask = by_point(compiled, shape, batch, head)
    if mask is None:
        mask = _bound_mask(compiled, shape, seed, batch, head)
    if output is None:
        say(grid(mask, width))
        return
    from maskc.view.picture import picture

    side = block or _block(max(mask.shape))
    picture(mask, output, title=read_source(program).text, block=(side, side))
    say(f"wrote {output}")


def _bound_mask(program: Program, shape: dict[str, Any], seed: int, batch: int, head: int) -> Any:
    """Return the mask of one head as an array, its inputs drawn at random."""
    import torch

    from maskc.testing import random_inputs

    drawn: dict[str, Any] = random_inputs(program, shape, torch.Generator().manual_seed(seed))
    dense = program.bind(**shape, **drawn).dense_mask()
    return dense[min(batch, dense.shape[0] - 1), min(head, dense.shape[1] - 1)].numpy(force=True)


def _block(length: int) -> int:
    """Return the side of a tile: that of a kernel, or smaller where few such tiles would fit."""
    side = 128
    while side > 1 and length < 8 * side:
        side //= 2
    return side
