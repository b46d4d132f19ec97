"""Full, partial and empty tiles of a mask that lies before us as a matrix."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tile(IntEnum):
    """How much of a tile is true."""

    EMPTY = 0
    PARTIAL = 1
    FULL = 2


def tiles(mask: NDArray[Any], block_q: int, block_k: int) -> NDArray[Any]:
    """Return the kind of every tile, ``[ceil(Q / block_q), ceil(K / block_k)]`` of ``Tile``.

    Only the elements that exist count, so that a ragged tile at the edge can be full here, while
    a block mask, which knows no edge, lists it as partial.

    Args:
        mask: booleans, ``[Q, K]``.
        block_q: rows of a tile.
        block_k: columns of a tile.

    """
    import numpy as np

    rows = np.arange(0, mask.shape[0], block_q)
    columns = np.arange(0, mask.shape[1], block_k)
    true = _sums(mask.astype(np.int64), rows, columns)
    area = _sums(np.ones_like(mask, dtype=np.int64), rows, columns)
    return np.where(true == 0, Tile.EMPTY, np.where(true == area, Tile.FULL, Tile.PARTIAL))


def _sums(values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
