"""Tables of rows of which each has one span: every entry is its place, plus a number or two."""

from __future__ import annotations

import numpy as np

from maskc.analysis.tiles.runs import Array
from maskc.analysis.tiles.spans import Spans


def tables_of_spans(spans: Spans, columns: int) -> tuple[Array, Array]:
    """Return counts ``[2, groups, rows]`` and indices ``[2, groups, rows, columns]``, int32.

    First those of partial blocks, then those of full ones. What a row holds past its count means
    nothing, and lies inside.

    Args:
        spans: of the rows.
        columns: how many blocks a row has.

    """
    begin, inner, outer, end = spans.edges
    place, within = np.arange(columns, dtype=np.int32), outer - inner
    count = np.empty((2, *begin.shape), np.int32)
    np.subtract(end - begin, within, out=count[0])
    count[1] = within
    indices = np.empty((*count.shape, columns), np.int32)
    partial, full = indices
    np.greater_equal(place, (inner - begin)[..., None], out=partial, casting="unsafe")
    partial *= within[..., None]  # what lies behind the full blocks is as many further on
    partial += begin[..., None]
    partial += place
    np.add(inner[..., None], place, out=full)
    np.minimum(indices, columns - 1, out=indices)
    return count, indices
