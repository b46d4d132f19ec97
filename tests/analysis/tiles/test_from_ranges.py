"""Tiles told by one range of keys a row are those of the matrix, whether or not rows meet.

So are those of rows whose ranges end in lines or in stairs, which are told by the rows at the edges
of blocks.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import dense, domain_of, row_mask

from maskc.analysis.key_ranges.lines import lines
from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.analysis.tiles import from_ranges
from maskc.analysis.tiles.grid import Grid, grid_of
from maskc.analysis.tiles.runs import Array, Runs, spelled_out
from maskc.analysis.tiles.spans import Spans

BLOCKS = st.tuples(st.integers(1, 4), st.integers(1, 3))


@settings(max_examples=examples(300))
@given(
    st.data(),
    st.integers(1, 7),
    st.integers(1, 8),
    BLOCKS,
    st.sampled_from([1, -1, 0]),
    st.booleans(),
)
def test_one_range(
    data: st.DataObject, q_len: int, k_len: int, block: tuple[int, int], order: int, empty: bool
) -> None:
    ends = st.lists(st.integers(0, k_len), min_size=2 * q_len, max_size=2 * q_len)
    pairs = np.sort(np.array(data.draw(ends), np.int32).reshape(q_len, 2), axis=1)
    first, stop = (np.sort(end)[::order] if order else end for end in pairs.T)
    if not empty:
        first = np.minimum(first, k_len - 1)
        stop = np.maximum(stop, first + 1)
    first, stop = np.where(first < stop, first, 0), np.where(first < stop, stop, 0)
    ranges = KeyRanges(np.stack([first, stop])[:, None, None, None], k_len)
    grid = Grid(1, 1, (q_len, k_len), block, torch.device("cpu"))
    event(f"rows meet: {from_ranges._by_extremes(ranges, grid) is not None}")
    found = from_ranges.tiles_of_ranges(ranges, grid)
    key = np.arange(grid.blocks[1] * block[1])
    true = np.zeros((grid.blocks[0] * block[0], len(key)), np.bool_)
    true[:q_len] = (first[:, None] <= key) & (key < stop[:, None])
    tiles = true.reshape(grid.blocks[0], block[0], grid.blocks[1], block[1])
    full = tiles.all(axis=(1, 3))
    assert np.array_equal(matrix(found.full, grid), full)
    partial = tiles.any(axis=(1, 3)) & ~full
    assert np.array_equal(matrix(found.partial, grid), partial)
    by_key = found.kinds.transposed(grid.blocks[1]) if isinstance(found.kinds, Spans) else None
    event(f"columns have spans: {by_key is not None}")
    if by_key is not None:
        turned = Grid(1, 1, grid.lengths[::-1], block[::-1], grid.device)
        assert np.array_equal(matrix(by_key.full, turned), full.T)
        assert np.array_equal(matrix(by_key.partial, turned), partial.T)


END = st.tuples(st.sampled_from(["<=", ">="]), st.integers(0, 3), st.integers(-25, 25))


@settings(max_examples=examples(150))
@given(
    st.lists(END, min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 40),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_ends_are_lines(
    ends: list[tuple[str, int, int]], to_end: bool, q_len: int, k_len: int, block: tuple[int, int]
) -> None:
    texts = [f"k {sign} {slope} * q + {c}" for sign, slope, c in ends]
    text = " & ".join(texts) + " + kv_len - q_len" * to_end
    told = assert_told(text, (q_len, k_len), block)
    event(f"told: {told}")
    assert told is None or not told.leaves_out


STAIR = st.tuples(
    st.integers(-4, 4),
    st.sampled_from([(1, 1), (3, 1), (3, 3), (4, 4), (6, 2), (6, 6), (9, 9)]),
    st.sampled_from(["<=", "<=", ">=", "=="]),
    st.sampled_from([1, 1, 1, 2]),
    st.integers(-4, 4),
    st.integers(-1, 2),
)


@settings(max_examples=examples(200))
@given(
    st.lists(STAIR, min_size=1, max_size=2),
    st.sampled_from(["causal", "window(9)", "q - k <= 3", "k < 30"]),
    st.integers(1, 30),
    st.integers(20, 40),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_ends_are_stairs(
    stairs: list[tuple[int, tuple[int, int], str, int, int, int]],
    beside: str,
    q_len: int,
    k_len: int,
    block: tuple[int, int],
) -> None:
    texts = [
        f"(k + {s}) // {keys} {sign} {m} * ((q + {t}) // {queries}) + {c}"
        for s, (keys, queries), sign, m, t, c in stairs
    ]
    text = " & ".join([*texts, beside])
    told = assert_told(text, (q_len, k_len), block)
    event(f"told: {told}")


class Told(NamedTuple):
    """Whether ends told the tiles, and whether they do not where rows have keys and meet."""

    is_told: bool
    leaves_out: bool


def assert_told(text: str, lengths: tuple[int, int], block: tuple[int, int]) -> Told | None:
    """Hold the tiles that ends tell to the matrix; None where a mask has no such ends."""
    (q_len, k_len), domain = lengths, domain_of(*lengths)
    mask = row_mask(text, domain)
    known, grid = lines(mask), grid_of(mask, domain, block)
    if known is None:
        return None  # or it simplified to something else
    true = dense(mask, domain, 1, 1)[0, 0].expand(lengths).numpy()
    spans = from_ranges.spans_of_lines(known.at(domain.sizes), grid)
    if spans is None:
        keys = [np.flatnonzero(row) for row in true]
        apart = any(not len(some) for some in keys) or any(
            b[0] > a[-1] + 1 for a, b in itertools.pairwise(keys)
        )
        return Told(False, not apart)
    framed = np.zeros((grid.blocks[0] * block[0], grid.blocks[1] * block[1]), np.bool_)
    framed[:q_len, :k_len] = true
    tiles = framed.reshape(grid.blocks[0], block[0], grid.blocks[1], block[1])
    full = tiles.all(axis=(1, 3))
    assert np.array_equal(matrix(spans.full, grid), full)
    assert np.array_equal(matrix(spans.partial, grid), tiles.any(axis=(1, 3)) & ~full)
    return Told(True, False)


KNOWN = [
    "causal",
    "window(5)",
    "causal & window(9)",
    "causal_lower_right",
    "window(3, 2)",
    "chunked(10)",
    "causal & chunked(10) & window(7)",
    "k // 6 <= q // 6 & q - k < 20",
]


@pytest.mark.parametrize("text", KNOWN)
def test_ends_of_known_masks(text: str) -> None:
    assert assert_told(text, (70, 70), (16, 16)) == Told(True, False)
    domain = domain_of(70, 70)
    mask = row_mask(text, domain)
    known = lines(mask)
    assert known is not None
    grid = grid_of(mask, domain, (16, 16))
    spans = from_ranges.spans_of_lines(known.at(domain.sizes), grid)
    assert spans is not None
    assert spans.transposed(grid.blocks[1]) is not None


def matrix(runs: Runs, grid: Grid) -> Array:
    found = np.zeros(grid.blocks, np.bool_)
    found[spelled_out(runs)] = True
    return found
