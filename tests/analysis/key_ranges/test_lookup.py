"""Keys looked up among runs are those that a comparison of every pair finds."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from profiles import examples

from maskc.analysis.key_ranges.bound import Relation
from maskc.analysis.key_ranges.lookup import looked_up
from maskc.analysis.key_ranges.ranges import Array

COMPARE = {
    Relation.AT_LEAST: operator.ge,
    Relation.AT_MOST: operator.le,
    Relation.EQUAL: operator.eq,
    Relation.UNEQUAL: operator.ne,
}
FAR = (-(2**62), -3, -1, 0, 1, 2, 2**62)


@st.composite
def key_values(draw: DrawFn, length: int) -> list[int]:
    """Draw keys that ascend, descend, do so in stretches, lie in runs, or are in no order."""
    values = draw(st.lists(st.sampled_from(FAR), min_size=length, max_size=length))
    match draw(st.sampled_from(["ascend", "descend", "stretches", "runs", "none"])):
        case "ascend":
            return sorted(values)
        case "descend":
            return sorted(values, reverse=True)
        case "stretches":
            cut = draw(st.integers(0, length))
            return sorted(values[:cut]) + sorted(values[cut:])
        case "runs":
            order = draw(st.permutations(FAR))
            return sorted(values, key=order.index)
        case _:
            return values


@settings(max_examples=examples(300))
@given(
    st.data(), st.sampled_from(Relation), st.integers(1, 3), st.integers(1, 12), st.integers(1, 8)
)
def test_looked_up(
    data: st.DataObject, relation: Relation, groups: int, k_len: int, q_len: int
) -> None:
    keys = np.array([[data.draw(key_values(k_len))] for _ in range(groups)])
    shape = (data.draw(st.sampled_from([1, groups])), 1, q_len)
    wanted = st.lists(st.sampled_from(FAR), min_size=shape[0] * q_len, max_size=shape[0] * q_len)
    queries = np.array(data.draw(wanted)).reshape(shape)
    event(f"ranges: {assert_looked_up(relation, keys, queries)}")


@pytest.mark.parametrize("relation", Relation)
def test_the_same_ids_on_both_sides(relation: Relation) -> None:
    """One vector in memory is looked at once."""
    ids = np.array([[[3, 3, 5, 5, 5, 7]]])
    assert assert_looked_up(relation, ids, ids)


def assert_looked_up(relation: Relation, keys: Array, queries: Array) -> int | None:
    """Hold what is found to all pairs, and return how many ranges it takes."""
    found = looked_up(relation, keys, queries)
    if found is None:
        return None
    at = np.arange(keys.shape[-1])
    true = COMPARE[relation](keys[:, :, None, :], queries[..., None])
    inside = np.zeros_like(true)
    for first, stop in found:
        inside |= (first[..., None] <= at) & (at < stop[..., None])
    assert np.array_equal(inside, true)
    return len(found)


@pytest.mark.parametrize("relation", Relation)
@pytest.mark.parametrize("keys", [[1, 1, 2, 4], [4, 2, 2, 1], [1, 2, 0, 3]])
def test_keys_in_order_are_ranges(relation: Relation, keys: list[int]) -> None:
    assert looked_up(relation, np.array([[keys]]), np.array([[[0, 1, 2, 5]]])) is not None


def test_ids_of_many_runs_are_left_alone() -> None:
    keys = np.array([[[0, 1] * 5]])
    assert looked_up(Relation.EQUAL, keys, np.array([[[0]]])) is None
    assert looked_up(Relation.AT_MOST, keys, np.array([[[0]]])) is None
