"""A mask as text: a square for each pair, or for a tile of them where the mask is too wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskc.view.shares import Shares
from maskc.view.squares import Along, along, areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 32
NONE, FULL = "··", "██"
SHADES = ("░░", "▒▒", "▓▓")
"""Two characters each, which a terminal shows as a square; shades from few to many."""
CORNER = "q \\ k"
LABEL_EVERY = 8
QUERY, GAP = "◆◆", "  "


def grid(mask: NDArray[Any], width: int = WIDTH) -> str:
    """Return a matrix as text, queries down, keys across.

    Args:
        mask: booleans, ``[Q, K]``.
        width: the most squares a line; a longer mask is shown by square tiles of a power of two.

    """
    step = along(0, max(mask.shape), width).step
    rows, columns = (Along(0, length, step) for length in mask.shape)
    return shares_text(Shares(rows, columns, _counts(mask, rows, columns) / areas(rows, columns)))


def shares_text(shares: Shares) -> str:
    """Return the shares of squares as text, queries down, keys across."""
    rows, columns = shares.rows, shares.columns
    firsts = [rows.begin + row * rows.step for row in range(rows.count)]
    labels = [str(first) if row % LABEL_EVERY == 0 else "" for row, first in enumerate(firsts)]
    margin = max(map(len, [CORNER, *labels]))
    lines = [f"{CORNER:>{margin}} {_ruler(columns)}"]
    for label, row in zip(labels, shares.share, strict=True):
        lines.append(f"{label:>{margin}} {''.join(map(_sign, row.tolist()))}")
    return "\n".join([*lines, *_legend(shares)])


def seen_text(seen: NDArray[Any], query: tuple[int, int] | None) -> str:
    """Return what one query sees of a token grid as text.

    Args:
        seen: 1 for a token that it sees, 0 for one that it does not, NaN between frames.
        query: where it stands itself; None for outside the grid.

    """
    signs = [[{0.0: NONE, 1.0: FULL}.get(sees, GAP) for sees in line] for line in seen.tolist()]
    if query is not None:
        signs[query[0]][query[1]] = QUERY
    return "\n".join("".join(line).rstrip() if GAP in line else "".join(line) for line in signs)


def _counts(mask: NDArray[Any], rows: Along, columns: Along) -> NDArray[Any]:
    import numpy as np

    true = mask.astype(np.int64)
    for dim, squares in enumerate((rows, columns)):
        true = np.add.reduceat(true, np.arange(squares.count) * squares.step, axis=dim)
    return true


def _sign(share: float) -> str:
    """Return the sign of a share: the ends are none and all, whatever is nearly so."""
    if share in (0, 1):
        return FULL if share else NONE
    return SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)]


def _ruler(columns: Along) -> str:
    """Return the first key of every eighth column, as far as there is room for the number."""
    ruler = ""
    for column in range(0, columns.count, LABEL_EVERY):
        place = column * len(FULL)
        if len(ruler) <= place:
            ruler = f"{ruler:<{place}}{columns.begin + column * columns.step} "
    return ruler.rstrip()


def _legend(shares: Shares) -> list[str]:
    step = shares.rows.step
    if step == 1:
        return []
    shades = " ".join(shade[0] for shade in reversed(SHADES))
    meaning = f"{FULL[0]} all attend, {shades} some, {NONE[0]} none"
    return [f"a square is {step} x {step} pairs, {shares.how}: {meaning}"]
