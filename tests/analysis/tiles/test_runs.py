"""Runs of blocks mean the blocks they cover, by rows and by columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskc.analysis.tiles.runs import Array, Runs, merged, spelled_out, transposed


def painted(runs: Runs, rows: int, columns: int) -> Array:
    found = np.zeros((rows, columns), np.bool_)
    for row, first, stop in zip(runs.row, runs.first, runs.stop, strict=True):
        assert not found[row, max(0, first - 1) : stop + 1].any()
        found[row, first:stop] = True
    return found


def runs_of(blocks: Array) -> Runs:
    row, column = np.nonzero(blocks)
    return merged(row, column, column + 1)


@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.data())
def test_transposed(groups: int, rows: int, columns: int, data: st.DataObject) -> None:
    flags = st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)
    blocks = np.array([data.draw(flags) for _ in range(groups)]).reshape(groups * rows, columns)
    runs = runs_of(blocks)
    assert np.array_equal(painted(runs, groups * rows, columns), blocks)
    assert runs.count == blocks.sum()
    assert [x.tolist() for x in spelled_out(runs)] == [x.tolist() for x in np.nonzero(blocks)]
    by_column = blocks.reshape(groups, rows, columns).swapaxes(1, 2).reshape(-1, rows)
    found = transposed(runs, (rows, columns))
    assert np.array_equal(painted(found, groups * columns, rows), by_column)
