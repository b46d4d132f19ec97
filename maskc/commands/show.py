"""``maskc show``: a mask as text, as a picture, or as a page to explore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.inputs import grid_of, input_options, length_of, read_arrays
from maskc.view.terminal import say

if TYPE_CHECKING:
    from maskc.view.scene import Scene
    from maskc.view.shares import Looker, Part

PAGES = (".html", ".htm")

PAGE_LENGTH = 256
"""Queries of a page where nothing says how many: its sliders change that."""


class Range(click.ParamType[range]):
    """``100:200``, either of which may be left out."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> range:
        """Return the range; a stop that is left out is the largest there is."""
        first, colon, stop = str(value).partition(":")
        try:
            result = range(int(first or 0), int(stop) if stop else 2**31)
        except ValueError:
            result = range(0)
        if not colon or not result or result.start < 0:
            self.fail(f"{value!r}, expected first:stop as in 100:200", param, ctx)
        return result


@click.command()
@arguments.program_argument
@arguments.define_option
@arguments.size_options(b=1, h=1, q=32)
@input_options
@click.option(
    "--rows", metavar="FIRST:STOP", type=Range(), help="The queries to show.  [default: all]"
)
@click.option(
    "--columns", metavar="FIRST:STOP", type=Range(), help="The keys to show.  [default: all]"
)
@click.option(
    "--batch", metavar="N", type=click.IntRange(min=0), default=0, help="Which batch to show."
)
@click.option(
    "--head", metavar="N", type=click.IntRange(min=0), default=0, help="Which head to show."
)
@click.option(
    "--q-offset",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="The position of query row 0.",
)
@click.option(
    "--query",
    metavar="N",
    type=click.IntRange(min=0),
    help="Whose view of the token grid to show.  [default: the middle one]",
)
@click.option(
    "--score",
    metavar="X",
    type=float,
    default=1.0,
    show_default=True,
    help="The score that a picture shows changed.",
)
@click.option(
    "--width", metavar="N", type=click.IntRange(min=1), default=32, help="The most squares a line."
)
@click.option(
    "--block", metavar="N", type=click.IntRange(min=1), help="Side of a tile of the picture."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a picture (.png, .svg, .pdf), or a page to explore (.html).",
)
@arguments.seed_option
@click.pass_context
def show(
    ctx: click.Context,
    /,
    program: str,
    constants: tuple[tuple[str, Any], ...],
    given: tuple[tuple[str, str], ...],
    lengths: tuple[int, ...] | None,
    rows: range | None,
    columns: range | None,
    batch: int,
    head: int,
    q_offset: int,
    query: int | None,
    score: float,
    width: int,
    block: int | None,
    output: Path | None,
    seed: int,
    **sizes: Any,
) -> None:
    """Show a mask of any size: as text, a picture or a page.

    Inputs that are not given are drawn at random. A large mask is shown in squares, whose shades
    tell how many of their pairs attend; --rows and --columns show a part of it.
    """
    # numpy comes with these, and `maskc check` must not wait for it.
    from maskc.commands.scene_inputs import complete
    from maskc.view.scene import Scene, block_for

    compiled = load_program(program, constants)
    is_page = output is not None and output.suffix.lower() in PAGES
    if ctx.get_parameter_source("q") is ParameterSource.DEFAULT:
        natural = sum(lengths or ()) or length_of(read_arrays(compiled, given, None, 0))
        sizes["q"] = natural or grid_of(compiled) or (PAGE_LENGTH if is_page else sizes["q"])
    shape = arguments.call_sizes(**sizes)
    if batch >= shape["batch_size"] or head >= shape["num_heads"]:
        raise click.UsageError("--batch and --head count from 0 and stay below --b and --h")
    inputs = read_arrays(compiled, given, lengths, max(shape["q_len"], shape["kv_len"]))
    side = block or block_for(max(shape["q_len"], shape["kv_len"]))
    scene = complete(Scene(compiled, shape, inputs, batch, head, side, q_offset), seed)
    if output is not None and is_page:
        _write_page(scene, output)
    else:
        _show(scene, _part(shape, rows, columns), _query(scene, query), width, score, output)


def _show(
    scene: Scene, part: Part, query: int, width: int, score: float, output: Path | None
) -> None:
    from maskc.view.looked_at import looked_at
    from maskc.view.shares import Looker

    looker = Looker(scene, looked_at(scene))
    if output is None:
        _print(looker, part, query, width)
        return
    from maskc.view.picture import Pictured, picture

    picture(Pictured(looker, part, scene.program.source, score, query), output)
    say(f"wrote {output}")


def _print(looker: Looker, part: Part, query: int, width: int) -> None:
    from maskc.view.grid import seen_text, shares_text
    from maskc.view.seen import seen_by

    say(shares_text(looker.shares(*part.squares(width))))
    seen = seen_by(looker, query)
    if seen is not None and seen.sheet.shape[1] <= 2 * width:
        say(f"\n{seen.title}:\n{seen_text(seen.sheet, seen.place)}")


def _write_page(scene: Scene, output: Path) -> None:
    from maskc.files.write import write_text
    from maskc.view.explorer.page import page

    write_text(output, page(scene, _known(scene)))
    say(f"wrote {output}")


def _known(scene: Scene) -> dict[str, Any] | None:
    """Return the tiles of a scene where they are counted, None where they are not."""
    from maskc.view.looked_at import looked_at
    from maskc.view.shares import Looker
    from maskc.view.tile_counts import tile_counts

    if scene.program.open_layer is not None:
        return None
    counts = tile_counts(Looker(scene, looked_at(scene)))
    return None if counts is None else {"counts": counts.kinds, "share": counts.share}


def _part(shape: dict[str, Any], rows: range | None, columns: range | None) -> Part:
    from maskc.view.shares import Part

    return Part(
        _within("--rows", rows, shape["q_len"]), _within("--columns", columns, shape["kv_len"])
    )


def _within(option: str, wanted: range | None, length: int) -> range:
    if wanted is None:
        return range(length)
    if wanted.start >= length:
        raise click.UsageError(f"{option} starts at {wanted.start}, there are {length}")
    return range(wanted.start, min(wanted.stop, length))


def _query(scene: Scene, query: int | None) -> int:
    from maskc.view.seen import middle_query

    if query is None:
        return middle_query(scene)
    if query >= scene.q_len:
        raise click.UsageError(f"--query is {query}, there are {scene.q_len}")
    return query
