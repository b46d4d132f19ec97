"""A mask as text: a sign for each element, or for each tile where the mask is too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskc.view.tiles import Tile, tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 64
SIGNS = {Tile.EMPTY: "·", Tile.PARTIAL: "▒", Tile.FULL: "█"}
CORNER = "q \\ k"
LABEL_EVERY = 8


def grid(mask: NDArray[Any], width: int = WIDTH) -> str:
    """Return the mask as text, queries down, keys across.

    Args:
        mask: booleans, ``[Q, K]``.
        width: the most signs a line; a longer mask is shown by square tiles of a power of two,
            each full, partial or empty.

    """
    step = 1
    while max(mask.shape) > width * step:
        step *= 2
    kinds = tiles(mask, step, step)
    rows, columns = kinds.shape
    wide = 2 if columns <= width // 2 else 1  # a sign is twice as tall as wide
    labels = [str(row * step) if row % LABEL_EVERY == 0 else "" for row in range(rows)]
    margin = max(map(len, [CORNER, *labels]))
    lines = [f"{CORNER:>{margin}} {_ruler(columns, step, wide)}"]
    for label, row in zip(labels, kinds, strict=True):
        lines.append(f"{label:>{margin}} {''.join(SIGNS[Tile(kind)] * wide for kind in row)}")
    return "\n".join([*lines, *_legend(step)])


def _ruler(columns: int, step: int, wide: int) -> str:
    """Return the first key of every eighth column, as far as there is room for the number."""
    ruler = ""
    for column in range(0, columns, LABEL_EVERY):
        place = column * wide
        if len(ruler) <= place:
            ruler = f"{ruler:<{place}}{column * step} "
    return ruler.rstrip()


def _legend(step: int) -> list[str]:
    signs = ", ".join(f"{SIGNS[tile]} {tile.name.lower()}" for tile in reversed(Tile))
    return [] if step == 1 else [f"a sign is a tile of {step} x {step}: {signs}"]
