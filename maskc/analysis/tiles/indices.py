"""The columns of runs, written row by row."""

from __future__ import annotations

import numpy as np

from maskc.analysis.tiles.runs import Array, Runs


def counts(runs: Runs, rows: int) -> Array:
    """Return how many columns each of ``rows`` rows has, int32."""
    return np.bincount(runs.row, runs.length, rows).astype(np.int32)


def indices(runs: Runs, count: Array, columns: int, width: int) -> Array:
    """Return the columns of each row in order, int32 ``[rows, width]``.

    A column counts on from the one before it, but for the first of a run. Past its count a row
    counts on to the last column: that means nothing, and lies inside.

    Args:
        runs: of ``columns`` columns.
        count: how many columns each row has.
        columns: how many there are.
        width: at least the largest count.

    """
    steps = np.ones((len(count), width), np.int32)
    steps[:, :1] = 0
    if len(runs):
        steps[runs.row, _places(runs, count)] = _steps(runs)
    np.cumsum(steps, axis=1, out=steps)
    return np.minimum(steps, columns - 1, out=steps)


def _places(runs: Runs, count: Array) -> Array:
    """Return at which place of its row each run begins."""
    length = runs.length
    before = np.cumsum(length) - length
    rows_before = np.cumsum(count, dtype=np.int64) - count
    places: Array = before - rows_before[runs.row]
    return places


def _steps(runs: Runs) -> Array:
    """Return how far the first column of each run is from the last before it in its row."""
    steps = runs.first.copy()
    follows = runs.row[1:] == runs.row[:-1]
    steps[1:] -= np.where(follows, runs.stop[:-1] - 1, 0)
    return steps
