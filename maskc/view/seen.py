"""What one query sees of the token grid, laid out as the grid is."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod

import numpy as np

from maskc.compiled import Compiled
from maskc.syntax import ast
from maskc.syntax.parse import parse
from maskc.view.scene import Array, Scene
from maskc.view.shares import Looker

WIDEST = 48
"""Tokens across, with several frames side by side."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The view of a query.

    Attributes:
        sheet: 1 for a token that it sees, 0 for one that it does not, NaN between frames, ``[rows,
            columns]``.
        place: where the query itself stands; None for a token outside the grid.
        title: which query it is, with its coordinates.

    """

    sheet: Array
    place: tuple[int, int] | None
    title: str


def axis_sizes(program: Compiled) -> dict[str, int]:
    """Return the axes that the text declares with their sizes, the outermost first."""
    tree, _ = parse(program.recipe.source)
    return {
        axis.name.text: int(program.params[axis.name.text])
        for statement in tree.statements
        if isinstance(statement, ast.Axes)
        for axis in statement.axes
    }


def middle_query(scene: Scene) -> int:
    """Return the query in the middle of the token grid, or of the sequence where there is none."""
    sizes = list(axis_sizes(scene.program).values())
    if not scene.axes or not sizes:
        return scene.q_len // 2
    token = int(np.ravel_multi_index([size // 2 for size in sizes], sizes)) + scene.axes[0].start
    positions = _positions(scene.q_positions, scene.q_len) + scene.q_offset
    return int(np.abs(positions - token).argmin())


def seen_by(looker: Looker, query: int) -> Seen | None:
    """Return what a query sees of the token grid; None without one of at least two axes.

    Of one axis a row of the mask tells as much.

    Args:
        looker: the mask.
        query: the row of the query.

    """
    scene = looker.scene
    axes = axis_sizes(scene.program)
    if not scene.axes or len(axes) < 2:
        return None
    start = scene.axes[0].start
    tokens = _positions(scene.kv_positions, scene.kv_len) - start
    seen = looker.mask(np.array([[query]]), np.arange(scene.kv_len)[None])[0]
    count = prod(axes.values())
    on_grid = (tokens >= 0) & (tokens < count)
    places = _places(list(axes.values()))
    sheet = np.full(tuple(places.max(axis=1) + 1), np.nan)
    sheet[tuple(places)] = 0
    sheet[tuple(places[:, tokens[on_grid]])] = seen[on_grid]
    own = int(_positions(scene.q_positions, scene.q_len)[query]) + scene.q_offset - start
    if not 0 <= own < count:
        return Seen(sheet, None, f"what query {query}, outside the grid, sees of it")
    row, column = places[:, own].tolist()
    named = zip(axes, np.unravel_index(own, tuple(axes.values())), strict=True)
    coordinates = ", ".join(f"{name} {int(place)}" for name, place in named)
    return Seen(sheet, (row, column), f"what query {query} ({coordinates}) sees")


def _positions(given: Array | None, length: int) -> Array:
    return np.arange(length) if given is None else given


def _places(sizes: list[int]) -> Array:
    """Return the row and the column of each token; frames stand side by side, with gaps."""
    *frames, rows, columns = [1, 1, *sizes]
    count = prod(frames)
    across = max(1, min(isqrt(count - 1) + 1, WIDEST // (columns + 1)))
    frame, row, column = np.unravel_index(np.arange(count * rows * columns), (count, rows, columns))
    result: Array = np.stack(
        [frame // across * (rows + 1) + row, frame % across * (columns + 1) + column]
    )
    return result
