"""Pictures of a program with matplotlib: its mask with its tiles, its score, what a query sees."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from maskc.errors import LoadError
from maskc.files.read import reason
from maskc.files.write import write_bytes
from maskc.ir.nodes import SCORE
from maskc.view.scene import Array
from maskc.view.score_panel import score_panel
from maskc.view.seen import Seen, seen_by
from maskc.view.shares import Looker, Part, Shares
from maskc.view.squares import Along
from maskc.view.style import DIM, INK, PAPER, QUERY, frame, place, rgb, shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 4.1
"""Width of a panel in inches."""
SIGNS_AN_INCH = 11
MOST = 512
"""Squares along a side of a picture."""
GRID_UP_TO = 40
"""The most elements or tiles a side between which lines are drawn."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """What a picture shows.

    Attributes:
        looker: the mask.
        part: the queries and keys that are drawn.
        title: usually the program.
        score: the score that the program is given, where it changes it.
        query: whose view of the token grid is drawn.

    """

    looker: Looker
    part: Part
    title: str
    score: float
    query: int


def picture(pictured: Pictured, path: str | Path) -> None:
    """Write a picture; the format follows the name (``.png``, ``.svg``, ``.pdf``).

    Raises:
        LoadError: matplotlib is not there, or the file cannot be written.

    """
    write_figure(figure(pictured), Path(path))


def figure(pictured: Pictured) -> Figure:
    """Return the panels of a program side by side.

    Raises:
        LoadError: matplotlib is not there.

    """
    seen = seen_by(pictured.looker, pictured.query)
    changes = pictured.looker.program.score != SCORE
    count = 1 + changes + (seen is not None)
    size = _size(pictured.part, count)
    made = empty_figure(size, pictured.title)
    panels = iter(made.subplots(1, count, squeeze=False)[0])
    _mask_panel(next(panels), pictured)
    if changes:
        score_panel(next(panels), made, pictured.looker, pictured.part, pictured.score)
    if seen is not None:
        _seen_panel(next(panels), seen)
    return made


def empty_figure(size: tuple[float, float], title: str) -> Figure:
    """Return a figure of ``size`` inches under a title, with nothing on it.

    Raises:
        LoadError: matplotlib is not there.

    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        message, help = "a picture needs matplotlib", "install it: `pip install 'maskc[view]'`"
        raise LoadError("M606", message, help=help) from None
    made = Figure(figsize=size, dpi=150, layout="constrained", facecolor=PAPER)
    made.suptitle(_title(title, size[0]), family="monospace", fontsize=10, color=INK)
    return made


def write_figure(made: Figure, path: Path) -> None:
    """Write a figure in the format that the name of its file says, PNG where it says none.

    Raises:
        LoadError: the file cannot be written.

    """
    from matplotlib import rc_context

    drawn = BytesIO()
    try:
        with rc_context({"svg.hashsalt": "maskc"}):
            made.savefig(drawn, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise LoadError("M605", f"cannot write `{path}`: {reason(error)}") from None
    write_bytes(path, drawn.getvalue())


def _size(part: Part, panels: int) -> tuple[float, float]:
    """Return width and height in inches: panels in the mask's proportions, within bounds."""
    rows, columns = len(part.rows), len(part.columns)
    height = min(max(PANEL * rows / columns, PANEL / 4), PANEL * 1.5)
    return panels * PANEL + 0.5, height + 0.9


def _title(text: str, width: float) -> str:
    """Return the program without its comments on at most two lines of ``width`` inches."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    statements = "; ".join(line for line in lines if line)
    return fill(statements, int(width * SIGNS_AN_INCH), max_lines=2, placeholder=" ...")


# The mask


def _mask_panel(axes: Axes, pictured: Pictured) -> None:
    looker, part = pictured.looker, pictured.part
    shares = looker.shares(*part.squares(MOST))
    side = looker.scene.block
    tiles = _tiles(looker, part, side)
    partial = None if tiles is None else _is_in_partial(shares, tiles)
    axes.imshow(shade(shares.share, partial), **place(shares.rows, shares.columns, part))
    frame(axes, part)
    _tile_lines(axes, part, side)
    axes.set_title(_mask_title(shares, tiles), fontsize=9, color=DIM)


def _tiles(looker: Looker, part: Part, side: int) -> Shares | None:
    """Return how much of each tile attends; None for more than a picture has room for."""
    rows, columns = (
        Along(one.start // side * side, min(length, -(-one.stop // side) * side), side)
        for one, length in (
            (part.rows, looker.scene.q_len),
            (part.columns, looker.scene.kv_len),
        )
    )
    return looker.shares(rows, columns) if max(rows.count, columns.count) <= 8 * MOST else None


def _is_in_partial(shares: Shares, tiles: Shares) -> Array | None:
    """Return which squares lie within a partial tile; None where a square is wider than a tile."""
    if shares.rows.step > tiles.rows.step:
        return None
    partial = (tiles.share > 0) & (tiles.share < 1)
    row, column = (
        (squares.begin + np.arange(squares.count) * squares.step - of.begin) // of.step
        for squares, of in ((shares.rows, tiles.rows), (shares.columns, tiles.columns))
    )
    result: Array = partial[np.ix_(row, column)]
    return result


def _mask_title(shares: Shares, tiles: Shares | None) -> str:
    total, step = shares.total, shares.rows.step
    digits = 1 if total >= 0.1 else 2
    about = "about " if shares.sampled else ""
    lines = [f"{about}{total:.{digits}%} of the pairs attend"]
    if step > 1:
        lines[0] += f"; a dot is {step} x {step}, {shares.how}"
    if tiles is not None:
        full, empty = int((tiles.share == 1).sum()), int((tiles.share == 0).sum())
        partial = tiles.share.size - full - empty
        about = "about " if tiles.sampled else ""
        counts = f"{full:,} full, {partial:,} partial, {empty:,} empty"
        lines.append(f"{about}{counts} tiles of {tiles.rows.step}")
    return "\n".join(lines)


def _tile_lines(axes: Axes, part: Part, side: int) -> None:
    if max(len(part.rows), len(part.columns)) > GRID_UP_TO * side:
        return
    for row in range(-(-part.rows.start // side) * side, part.rows.stop, side):
        axes.axhline(row - 0.5, color=INK, linewidth=0.4, alpha=0.28)
    for column in range(-(-part.columns.start // side) * side, part.columns.stop, side):
        axes.axvline(column - 0.5, color=INK, linewidth=0.4, alpha=0.28)


# The token grid


def _seen_panel(axes: Axes, seen: Seen) -> None:
    """Draw what one query sees of the token grid, frame after frame."""
    image = shade(np.nan_to_num(seen.sheet), None)
    image[np.isnan(seen.sheet)] = rgb(PAPER)
    if seen.place is not None:
        image[seen.place] = rgb(QUERY)
    rows, columns = seen.sheet.shape
    axes.imshow(image, interpolation="nearest", aspect="equal")
    if max(rows, columns) <= GRID_UP_TO:
        for row in range(1, rows):
            axes.axhline(row - 0.5, color=PAPER, linewidth=0.6)
        for column in range(1, columns):
            axes.axvline(column - 0.5, color=PAPER, linewidth=0.6)
    axes.set_axis_off()
    axes.set_title(seen.title, fontsize=9, color=DIM)
