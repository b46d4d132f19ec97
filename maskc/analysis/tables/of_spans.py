"""Tables of rows of which each has one span: every entry is its place, plus a number or two."""

from __future__ import annotations

import numpy as np

from maskc.analysis.tiles.runs import Array


def tables_of_spans(edges: Array, columns: int) -> tuple[Array, Array]:
    """Return counts ``[2, ..., rows]`` and indices ``[2, ..., rows, columns]``, int32.

    First those of partial blocks, then those of full ones. What a row holds past its count means
    nothing, and lies inside.

    Args:
        edges: of ``Spans``, int32 ``[4, ..., rows]``.
        columns: how many blocks a row has.

    """
    begin, inner, outer, end = edges
    within, place = outer - inner, np.arange(columns, dtype=np.int32)
    count = np.empty((2, *begin.shape), np.int32)
    count[0], count[1] = end - begin - within, within
    indices = np.empty((*count.shape, columns), np.int32)
    partial, full = indices
    np.add(begin[..., None], place, out=partial)
    partial += (partial >= inner[..., None]) * within[..., None]  # past the full blocks
    np.add(inner[..., None], place, out=full)
    return count, np.minimum(indices, columns - 1, out=indices)
