"""The tables of documents in a causal window, in as little numpy as one would write for that mask.

It takes for granted what a compiler has to find out: that a query sees one range of keys, and that
both its ends grow from row to row. So it is about the least that numpy takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def window_tables(doc: Array, window: int, block: int) -> list[Array]:
    """Return the eight tables of ``causal & window(window) & doc[q] == doc[k]``.

    Args:
        doc: ids that grow, ``[S]``; S is a multiple of ``block``.
        window: how many keys a query sees, its own included.
        block: rows and keys of a tile.

    """
    length = len(doc)
    row = np.arange(length, dtype=np.int32)
    begins = np.append(np.int32(0), np.flatnonzero(doc[1:] != doc[:-1]).astype(np.int32) + 1)
    first = np.repeat(begins, np.diff(begins, append=length))
    first = np.maximum(first, row - (window - 1)).reshape(-1, block)
    stop = (row + 1).reshape(-1, block)
    touched = first.min(1) // block, -(-stop.max(1) // block)
    low, high = -(-first.max(1) // block), stop.min(1) // block
    covered = low, np.maximum(low, high)
    by_key = _turned(*touched), _turned(*covered)
    return [*_written(touched, covered), *_written(*by_key)]


def _turned(first: Array, stop: Array) -> tuple[Array, Array]:
    """Return the rows of each column, for ends that grow from row to row."""
    columns = np.arange(len(first))
    begins = np.searchsorted(stop, columns, "right")
    return begins, np.maximum(begins, np.searchsorted(first, columns, "right"))


def _written(touched: tuple[Array, Array], covered: tuple[Array, Array]) -> list[Array]:
    """Return counts and indices of what is touched and not covered, and of what is covered."""
    (first, stop), (low, high) = touched, covered
    last, column = len(first) - 1, np.arange(len(first), dtype=np.int32)
    inner = np.where(high > low, low, stop)
    jump = high - low
    index = first[:, None] + column
    index += (column >= (inner - first)[:, None]) * jump[:, None]
    partial = np.minimum(index, last).astype(np.int32)
    full = np.minimum(low[:, None] + column, last).astype(np.int32)
    return [(stop - first - jump).astype(np.int32), partial, jump.astype(np.int32), full]
