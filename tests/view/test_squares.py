"""Counts of squares, against counting the pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.view import squares
from maskc.view.squares import Along, along, areas, true_counts


@st.composite
def cases(draw: st.DrawFn) -> tuple[KeyRanges, np.ndarray, Along, Along]:
    """Draw ranges of rows, the mask that they are, and squares over a part of it."""
    q_len, k_len, heads = (draw(st.integers(1, most)) for most in (12, 14, 2))
    ends = st.lists(st.integers(0, k_len), min_size=2, max_size=2).map(sorted)
    rows = draw(st.lists(ends, min_size=heads * q_len, max_size=heads * q_len))
    edges = np.array(rows, np.int32).reshape(heads, q_len, 2)
    first, stop = edges[None, None, ..., 0], edges[None, None, ..., 1]
    keys = np.arange(k_len)
    dense = (keys >= edges[..., :1]) & (keys < edges[..., 1:])
    sides = []
    for length in (q_len, k_len):
        begin = draw(st.integers(0, length - 1))
        sides.append(Along(begin, draw(st.integers(begin + 1, length)), draw(st.integers(1, 5))))
    return KeyRanges(np.stack([first, stop]), k_len), dense, sides[0], sides[1]


@given(cases(), st.integers(0, 1), st.sampled_from([1, 7, 2**21]))
def test_counts_are_those_of_the_pairs(
    case: tuple[KeyRanges, np.ndarray, Along, Along], head: int, at_once: int
) -> None:
    ranges, dense, rows, columns = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(squares, "AT_ONCE", at_once)
        found = true_counts(ranges, (0, head), rows, columns)
    mask = dense[min(head, len(dense) - 1)]
    parts = [
        [
            mask[i : min(i + rows.step, rows.end), j : min(j + columns.step, columns.end)]
            for j in range(columns.begin, columns.end, columns.step)
        ]
        for i in range(rows.begin, rows.end, rows.step)
    ]
    assert found.tolist() == [[int(part.sum()) for part in line] for line in parts]
    assert areas(rows, columns).tolist() == [[part.size for part in line] for line in parts]


def test_squares_are_powers_of_two() -> None:
    assert along(0, 100, 32) == Along(0, 100, 4)
    assert along(5, 37, 32) == Along(5, 37, 1)
    assert along(0, 100, 32).count == 25
    assert Along(3, 10, 4).sizes.tolist() == [4, 3]
    assert Along(3, 20, 4).part(1, 3) == Along(7, 15, 4)
