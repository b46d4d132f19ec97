"""Tiles told by one range of keys a row are those of the matrix, whether or not rows meet."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples

from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.analysis.tiles import from_ranges
from maskc.analysis.tiles.grid import Grid
from maskc.analysis.tiles.runs import Array, Runs, spelled_out

BLOCKS = st.tuples(st.integers(1, 4), st.integers(1, 3))


@settings(max_examples=examples(300))
@given(st.data(), st.integers(1, 7), st.integers(1, 8), BLOCKS, st.booleans())
def test_one_range(
    data: st.DataObject, q_len: int, k_len: int, block: tuple[int, int], rises: bool
) -> None:
    ends = st.lists(st.integers(0, k_len), min_size=2 * q_len, max_size=2 * q_len)
    pairs = np.sort(np.array(data.draw(ends), np.int32).reshape(q_len, 2), axis=1)
    first, stop = (np.sort(end) if rises else end for end in pairs.T)
    first, stop = np.where(first < stop, first, 0), np.where(first < stop, stop, 0)
    ranges = KeyRanges(np.stack([first, stop])[:, None, None, None], k_len)
    grid = Grid(1, 1, (q_len, k_len), block, torch.device("cpu"))
    event(f"rows meet: {from_ranges._meet(first[None], stop[None])}")
    found = from_ranges.tiles_of_ranges(ranges, grid)
    key = np.arange(grid.blocks[1] * block[1])
    true = np.zeros((grid.blocks[0] * block[0], len(key)), np.bool_)
    true[:q_len] = (first[:, None] <= key) & (key < stop[:, None])
    tiles = true.reshape(grid.blocks[0], block[0], grid.blocks[1], block[1])
    full = tiles.all(axis=(1, 3))
    assert np.array_equal(matrix(found.full, grid), full)
    assert np.array_equal(matrix(found.partial, grid), tiles.any(axis=(1, 3)) & ~full)


def matrix(runs: Runs, grid: Grid) -> Array:
    found = np.zeros(grid.blocks, np.bool_)
    found[spelled_out(runs)] = True
    return found
