"""Tiles of which each row of blocks has one span, with what is full side by side within it.

So are causal masks, windows, packed documents and chunks. Four numbers a row say it all, and where
they ascend from row to row, as they do there, those of the columns are found by binary search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskc.analysis.tiles.runs import Array, Runs


@dataclass(frozen=True, slots=True)
class Spans:
    """The blocks ``[begin, end)`` of each row hold some pairs, ``[inner, outer)`` hold all of them.

    Attributes:
        edges: int32 ``[4, groups, rows]``: begin, inner, outer and end, each at most the next. A
            row whose inner and outer are equal has no full block.

    """

    edges: Array

    @property
    def full(self) -> Runs:
        """The full blocks."""
        _, inner, outer, _ = self.edges.reshape(4, -1)
        row = np.flatnonzero(inner < outer)
        return Runs(row, inner[row].astype(np.int64), outer[row].astype(np.int64))

    @property
    def partial(self) -> Runs:
        """The blocks of the spans that are not full."""
        begin, inner, outer, end = self.edges.reshape(4, -1).astype(np.int64)
        has_full = inner < outer
        first = np.stack([begin, np.where(has_full, outer, end)], axis=1)
        stop = np.stack([np.where(has_full, inner, end), end], axis=1)
        row, side = (first < stop).nonzero()
        return Runs(row, first[row, side], stop[row, side])

    def transposed(self, columns: int) -> Spans | None:
        """Return the spans of rows in columns, None where an edge does not ascend row by row.

        A row begins at a column or before it from some row on, and ends behind it up to some row:
        so a column's rows lie between two counts.
        """
        groups = self.edges.shape[1]
        if not _ascend(self.edges):
            return None
        column = np.arange(columns, dtype=np.int32)
        result = np.empty((4, groups, columns), np.int32)
        for group in range(groups):
            for own, other in zip(result, self.edges[::-1], strict=True):
                own[group] = other[group].searchsorted(column, "right")
        np.maximum(result[2], result[1], out=result[2])  # a column that no row covers
        return Spans(result)


def _ascend(edges: Array) -> bool:
    return bool((edges[..., 1:] >= edges[..., :-1]).all())
