"""A matrix in squares: where they lie, and how many pairs of each are true, counted exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskc.analysis.key_ranges.ranges import KeyRanges, spread

Array = NDArray[Any]

AT_ONCE = 2**21
"""Ends of ranges, and squares, that are counted in one step."""


@dataclass(frozen=True, slots=True)
class Along:
    """Squares along one side: ``count`` of ``step`` each from ``begin``, the last up to ``end``."""

    begin: int
    end: int
    step: int

    @property
    def count(self) -> int:
        """How many squares there are."""
        return -(-(self.end - self.begin) // self.step)

    @property
    def sizes(self) -> Array:
        """How many elements each square has."""
        firsts = self.begin + np.arange(self.count) * self.step
        return np.minimum(firsts + self.step, self.end) - firsts

    def part(self, first: int, stop: int) -> Along:
        """Return the squares ``first`` to ``stop``."""
        begin = self.begin + first * self.step
        return Along(begin, min(self.end, self.begin + stop * self.step), self.step)


def along(begin: int, end: int, most: int) -> Along:
    """Return at most so many squares of a power of two."""
    step = 1
    while end - begin > most * step:
        step *= 2
    return Along(begin, end, step)


def areas(rows: Along, columns: Along) -> Array:
    """Return how many pairs each square has."""
    return np.multiply.outer(rows.sizes, columns.sizes)


def true_counts(ranges: KeyRanges, group: tuple[int, int], rows: Along, columns: Along) -> Array:
    """Return how many pairs of each square are true, int64 ``[rows, columns]``.

    Args:
        ranges: the keys of the rows.
        group: which batch and which head.
        rows: the squares along the queries.
        columns: those along the keys.

    """
    shape = ranges.first.shape
    batch, head = (min(place, size - 1) for place, size in zip(group, shape[1:3], strict=True))
    first, stop = (spread(ends, shape)[:, batch, head] for ends in (ranges.first, ranges.stop))
    a_step = max(1, min(AT_ONCE // (columns.count + 1), AT_ONCE // rows.step))
    parts = [rows.part(at, min(at + a_step, rows.count)) for at in range(0, rows.count, a_step)]
    return np.concatenate([_counted(first, stop, part, columns) for part in parts])


def _counted(first: Array, stop: Array, rows: Along, columns: Along) -> Array:
    below = _below(stop[:, rows.begin : rows.end], rows, columns)
    below -= _below(first[:, rows.begin : rows.end], rows, columns)
    return np.diff(below, axis=1)


def _below(ends: Array, rows: Along, columns: Along) -> Array:
    """Return how many keys lie before both an edge and an end, for each edge, summed over rows.

    An end that lies before an edge counts itself, a later one the edge: sums and numbers of the
    ends by squares tell both.
    """
    width = columns.count + 1
    kept = np.clip(ends.astype(np.int64) - columns.begin, 0, columns.end - columns.begin)
    square = np.arange(rows.end - rows.begin) // rows.step
    keys = (square * width + kept // columns.step).reshape(-1)
    shape = rows.count, width
    number = np.bincount(keys, minlength=rows.count * width).reshape(shape)
    total = np.bincount(keys, kept.reshape(-1), rows.count * width).astype(np.int64).reshape(shape)
    before = np.cumsum(total, axis=1) - total
    beyond = number[:, ::-1].cumsum(axis=1)[:, ::-1]
    result: Array = before + beyond * np.arange(width) * columns.step
    return result
