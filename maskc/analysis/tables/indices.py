"""The columns of runs, written row by row."""

from __future__ import annotations

import numpy as np

from maskc.analysis.tiles.runs import Array, Runs

FEW = 8
"""Where a table is so many times larger than what it holds, that alone is written."""


def counts(runs: Runs, rows: int) -> Array:
    """Return how many columns each of ``rows`` rows has, int32."""
    return np.bincount(runs.row, runs.length, rows).astype(np.int32)


def indices(runs: Runs, count: Array, columns: int, width: int) -> Array:
    """Return the columns of each row in order, row after row, int32 in one dimension.

    A row begins ``width`` after the one above it, and the last has room for all columns. What
    follows the count of a row means nothing, and lies inside.

    Args:
        runs: of ``columns`` columns.
        count: how many columns each row has.
        columns: how many there are.
        width: at least the largest count.

    """
    size = max(0, width * (len(count) - 1) + columns)
    if count.sum(dtype=np.int64) * FEW > size:
        return _counted_on(runs, count, columns, width)
    result = np.zeros(size, np.int32)
    places, columns_of = _spelled_out(runs, count, width)
    result[places] = columns_of
    return result


def _spelled_out(runs: Runs, count: Array, width: int) -> tuple[Array, Array]:
    """Return the place of every block among all places, row after row, and its column."""
    length = runs.length
    number = np.arange(length.sum())
    ends = length.cumsum()
    places = np.repeat(_places(runs, count, width) - ends + length, length)
    result = np.repeat(runs.first - ends + length, length)
    return places + number, result + number


def _counted_on(runs: Runs, count: Array, columns: int, width: int) -> Array:
    """Let a column count on from the one before it, but for the first of a run."""
    rows = len(count)
    result = np.ones(width * (rows - 1) + columns, np.int32)
    steps = result[: width * rows].reshape(rows, width)
    steps[:, 0] = result[width * rows :] = 0
    if len(runs):
        result[_places(runs, count, width)] = _steps(runs)
    steps.cumsum(1, out=steps)
    np.minimum(steps, columns - 1, out=steps)
    return result


def _places(runs: Runs, count: Array, width: int) -> Array:
    """Return where each run begins among all places, row after row of ``width``."""
    length = runs.length
    before = length.cumsum()
    before -= length
    begins = width * np.arange(len(count))  # of a row, less what is before it
    begins[1:] -= count[:-1].cumsum(dtype=np.int64)
    before += begins[runs.row]
    return before


def _steps(runs: Runs) -> Array:
    """Return how far the first column of each run is from the last before it in its row."""
    steps = runs.first.copy()
    last = runs.stop[:-1] - 1
    last *= runs.row[1:] == runs.row[:-1]
    steps[1:] -= last
    return steps
