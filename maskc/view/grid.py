"""A mask as text: a square for each element, or for each tile where the mask is too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskc.view.tiles import Tile, tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 32
SIGNS = {Tile.EMPTY: "··", Tile.PARTIAL: "▒▒", Tile.FULL: "██"}
"""Two characters each, which a terminal shows as a square."""
CORNER = "q \\ k"
LABEL_EVERY = 8


def grid(mask: NDArray[Any], width: int = WIDTH) -> str:
    """Return the mask as text, queries down, keys across.

    Args:
        mask: booleans, ``[Q, K]``.
        width: the most squares a line; a longer mask is shown by square tiles of a power of two,
            each full, partial or empty.

    """
    step = 1
    while max(mask.shape) > width * step:
        step *= 2
    kinds = tiles(mask, step, step)
    rows, columns = kinds.shape
    labels = [str(row * step) if row % LABEL_EVERY == 0 else "" for row in range(rows)]
    margin = max(map(len, [CORNER, *labels]))
    lines = [f"{CORNER:>{margin}} {_ruler(columns, step)}"]
    for label, row in zip(labels, kinds, strict=True):
        lines.append(f"{label:>{margin}} {''.join(SIGNS[Tile(kind)] for kind in row)}")
    return "\n".join([*lines, *_legend(step)])


def _ruler(columns: int, step: int) -> str:
    """Return the first key of every eighth column, as far as there is room for the number."""
    ruler = ""
    for column in range(0, columns, LABEL_EVERY):
        place = column * len(SIGNS[Tile.FULL])
        if len(ruler) <= place:
            ruler = f"{ruler:<{place}}{column * step} "
    return ruler.rstrip()


def _legend(step: int) -> list[str]:
    signs = ", ".join(f"{SIGNS[tile][0]} {tile.name.lower()}" for tile in reversed(Tile))
    return [] if step == 1 else [f"a square is a tile of {step} x {step}: {signs}"]
