"""Pictures of a program with matplotlib: its mask with its tiles, its score, what a query sees.

The colours are those of the page (``explorer/page.css``): a picture and a page look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from maskc.errors import LoadError
from maskc.files.read import reason
from maskc.files.write import write_bytes
from maskc.ir.nodes import SCORE
from maskc.view.scene import Array
from maskc.view.seen import Seen, seen_by
from maskc.view.shares import Looker, Part, Shares
from maskc.view.squares import Along

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, DIM, PAPER = "#22313f", "#667788", "#ffffff"
EMPTY, PARTIAL, FULL = "#eef1f4", "#f8e3bf", "#2b6f8f"
QUERY = "#d1495b"
SCALE = "viridis"

SQUARE_UP_TO = 4
"""The ratio of the sides up to which an element is drawn as a square."""
PANEL = 4.1
"""Width of a panel in inches."""
SIGNS_AN_INCH = 11
MOST = 512
"""Squares along a side of a picture."""
MOST_SCORES = 192
"""Points along a side at which a score is worked out."""
GRID_UP_TO = 40
"""The most elements or tiles a side between which lines are drawn."""
FAINTEST = 0.12
"""How much of its colour a square shows that hardly attends."""


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
    write_bytes(Path(path), _drawn(figure(pictured), Path(path)))


def figure(pictured: Pictured) -> Figure:
    """Return the panels of a program side by side.

    Raises:
        LoadError: matplotlib is not there.

    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        message, help = "a picture needs matplotlib", "install it: `pip install 'maskc[view]'`"
        raise LoadError("M606", message, help=help) from None
    seen = seen_by(pictured.looker, pictured.query)
    changes = pictured.looker.program.score != SCORE
    count = 1 + changes + (seen is not None)
    size = _size(pictured.part, count)
    made = Figure(figsize=size, dpi=150, layout="constrained", facecolor=PAPER)
    made.suptitle(_title(pictured.title, size[0]), family="monospace", fontsize=10, color=INK)
    panels = iter(made.subplots(1, count, squeeze=False)[0])
    _mask_panel(next(panels), pictured)
    if changes:
        _score_panel(next(panels), made, pictured)
    if seen is not None:
        _seen_panel(next(panels), seen)
    return made


def _drawn(made: Figure, path: Path) -> bytes:
    """Return a picture in the format that the name of its file says, PNG where it says none."""
    from matplotlib import rc_context

    drawn = BytesIO()
    try:
        with rc_context({"svg.hashsalt": "maskc"}):
            made.savefig(drawn, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise LoadError("M605", f"cannot write `{path}`: {reason(error)}") from None
    return drawn.getvalue()


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
    axes.imshow(shade(shares.share, partial), **_place(shares.rows, shares.columns, part))
    _frame(axes, part)
    _tile_lines(axes, part, side)
    axes.set_title(_mask_title(shares, tiles), fontsize=9, color=DIM)


def shade(share: Array, partial: Array | None) -> Array:
    """Return the colours of squares, ``[rows, columns, 3]`` from 0 to 1.

    Args:
        share: how much of each attends.
        partial: which of them lie in a partial tile; None where tiles are not shown.

    """
    empty = np.broadcast_to(_rgb(EMPTY), (*share.shape, 3))
    if partial is not None:
        empty = np.where(partial[..., None], _rgb(PARTIAL), empty)
    strength = np.where(share > 0, FAINTEST + (1 - FAINTEST) * share, 0)[..., None]
    result: Array = empty * (1 - strength) + _rgb(FULL) * strength
    return result


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
    for place in range(-(-part.rows.start // side) * side, part.rows.stop, side):
        axes.axhline(place - 0.5, color=INK, linewidth=0.4, alpha=0.28)
    for place in range(-(-part.columns.start // side) * side, part.columns.stop, side):
        axes.axvline(place - 0.5, color=INK, linewidth=0.4, alpha=0.28)


# The score


def _score_panel(axes: Axes, made: Figure, pictured: Pictured) -> None:
    """Draw what becomes of one score, at the middle of each square, where the mask lets it."""
    looker, part = pictured.looker, pictured.part
    rows, columns = part.squares(MOST_SCORES)
    queries, keys = _middles(rows)[:, None], _middles(columns)[None]
    scores = looker.values(looker.program.score, queries, keys, pictured.score).astype(float)
    hidden = ~looker.mask(queries, keys) | (scores == -np.inf)
    shown = np.ma.masked_array(scores, hidden)
    axes.set_facecolor(EMPTY)
    place = _place(rows, columns, part)
    image = axes.imshow(shown, cmap=SCALE, **place)
    _frame(axes, part)
    axes.set_title(f"what a score of {pictured.score:g} becomes", fontsize=9, color=DIM)
    bar = made.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)


def _middles(squares: Along) -> Array:
    firsts = squares.begin + np.arange(squares.count) * squares.step
    result: Array = firsts + squares.sizes // 2
    return result


# The token grid


def _seen_panel(axes: Axes, seen: Seen) -> None:
    """Draw what one query sees of the token grid, frame after frame."""
    image = shade(np.nan_to_num(seen.sheet), None)
    image[np.isnan(seen.sheet)] = _rgb(PAPER)
    if seen.place is not None:
        image[seen.place] = _rgb(QUERY)
    rows, columns = seen.sheet.shape
    axes.imshow(image, interpolation="nearest", aspect="equal")
    if max(rows, columns) <= GRID_UP_TO:
        for row in range(1, rows):
            axes.axhline(row - 0.5, color=PAPER, linewidth=0.6)
        for column in range(1, columns):
            axes.axvline(column - 0.5, color=PAPER, linewidth=0.6)
    axes.set_axis_off()
    axes.set_title(seen.title, fontsize=9, color=DIM)


# What panels share


def _place(rows: Along, columns: Along, part: Part) -> dict[str, Any]:
    """Return where an image of squares lies, in elements whose middles are whole numbers."""
    right = columns.begin + columns.count * columns.step - 0.5
    bottom = rows.begin + rows.count * rows.step - 0.5
    ratio = len(part.rows) / len(part.columns)
    return {
        "extent": (columns.begin - 0.5, right, bottom, rows.begin - 0.5),
        "interpolation": "nearest",
        "aspect": "equal" if 1 / SQUARE_UP_TO <= ratio <= SQUARE_UP_TO else "auto",
    }


def _frame(axes: Axes, part: Part) -> None:
    """Set the ends, the names and the numbers of the axes."""
    axes.set_xlim(part.columns.start - 0.5, part.columns.stop - 0.5)
    axes.set_ylim(part.rows.stop - 0.5, part.rows.start - 0.5)
    axes.set_xlabel("k", color=INK)
    axes.set_ylabel("q", color=INK, rotation=0, labelpad=8, va="center")
    axes.tick_params(colors=INK, labelsize=8, length=2)
    axes.locator_params(nbins=6, integer=True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _rgb(colour: str) -> Array:
    number = int(colour[1:], 16)
    return np.array([number >> 16, number >> 8 & 255, number & 255]) / 255
