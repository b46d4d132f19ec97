"""Which keys stand in a relation to a query, looked up among the runs of equal keys.

Neighbouring keys mostly share a value (ids, ``k // n``), so values are searched by run. Where they
ascend or descend, over all keys or over a few stretches of them, a bound is one binary search a
stretch; equal ids are found among the sorted runs, in whatever order these stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.bound import Relation
from maskc.analysis.key_ranges.ranges import MOST, Array, Range, Ranges, spread


class Runs(NamedTuple):
    """Runs of equal neighbours: their values, and where each begins, with the end after all."""

    values: Array
    begins: Array


def looked_up(relation: Relation, keys: Array, queries: Array) -> Ranges | None:
    """Return the keys whose values stand in ``relation`` to that of each query row.

    Args:
        relation: of the key's value to the query's.
        keys: ints that broadcast to ``[B, H, K]``, of ``K`` keys.
        queries: ints that broadcast to ``[B, H, Q]``.

    Returns:
        Ranges, or None if some row takes more than four, or values are in no order.

    """
    k_lead, q_lead = keys.shape[:-1], queries.shape[:-1]
    lead = k_lead if k_lead == q_lead else np.broadcast_shapes(k_lead, q_lead)
    k_rows = spread(keys, (*lead, keys.shape[-1])).reshape(-1, keys.shape[-1])
    q_rows = spread(queries, (*lead, queries.shape[-1])).reshape(-1, queries.shape[-1])
    result: list[Ranges] = []
    for k_values, q_values in zip(k_rows, q_rows, strict=True):
        ranges = _of_group(relation, k_values, q_values)
        if ranges is None:
            return None
        result.append(ranges)
    return _stacked(result, (*lead, queries.shape[-1]))


def runs(values: Array) -> Runs:
    """Return the runs of a vector that is not empty."""
    cuts = (values[1:] != values[:-1]).nonzero()[0] + 1
    begins = np.empty(len(cuts) + 2, np.int32)
    begins[0], begins[1:-1], begins[-1] = 0, cuts, len(values)
    return Runs(values[begins[:-1]], begins)


def _of_group(relation: Relation, keys: Array, queries: Array) -> Ranges | None:
    k_runs = runs(keys)
    q_runs = k_runs if _is_same(keys, queries) else runs(queries)
    result = _SEARCHES[relation](k_runs, q_runs.values)
    if result is None or len(q_runs.values) == len(queries):
        return result
    lengths = (q_runs.begins[1:] - q_runs.begins[:-1]).astype(np.intp)
    return tuple(Range(*(end.repeat(lengths) for end in one)) for one in result)


def _is_same(a: Array, b: Array) -> bool:
    """Tell whether two vectors are one in memory."""
    if a.shape != b.shape or a.strides != b.strides:
        return False
    return bool(a.__array_interface__["data"] == b.__array_interface__["data"])


def _equal(keys: Runs, wanted: Array) -> Ranges | None:
    """Return up to four runs of keys with the wanted values."""
    values, begins = keys
    ascends = bool((values[1:] > values[:-1]).all())
    if ascends and wanted is values:
        return (Range(begins[:-1], begins[1:]),)
    if len(values) > MOST * (int(values.max()) - int(values.min()) + 1):
        return None  # some value has more runs: no need to sort them
    order = None if ascends else values.argsort(kind="stable")
    ordered = values if order is None else values[order]
    low = np.searchsorted(ordered, wanted, "left")
    high = np.searchsorted(ordered, wanted, "right")
    count = int((high - low).max())
    if count > MOST:
        return None
    result = []
    for step in range(count):
        place = np.minimum(low + step, len(values) - 1)
        run = place if order is None else order[place]
        stop = np.where(low + step < high, begins[run + 1], 0)
        result.append(Range(begins[run], stop))
    return tuple(result)


def _unequal(keys: Runs, wanted: Array) -> Ranges | None:
    """Return the gaps between the runs of keys with the unwanted values."""
    equal = _equal(keys, wanted)
    if equal is None:
        return None
    end = np.full(len(wanted), keys.begins[-1])
    result, past = [], np.zeros_like(end)
    for first, stop in equal:
        missing = stop <= first
        result.append(Range(past, np.where(missing, past, first)))
        past = np.where(missing, past, stop)
    result.append(Range(past, end))
    return tuple(result)


def _at_least(keys: Runs, wanted: Array) -> Ranges | None:
    return _by_stretch(keys, wanted, _ascending_from, _descending_from)


def _at_most(keys: Runs, wanted: Array) -> Ranges | None:
    return _by_stretch(keys, wanted, _ascending_to, _descending_to)


Search = Callable[[Array, Array], tuple[Array, Array]]
"""From the values of a stretch and the wanted ones, the first run and the one after the last."""


def _by_stretch(keys: Runs, wanted: Array, ascending: Search, descending: Search) -> Ranges | None:
    """Search the stretches of keys that all ascend or all descend."""
    values, begins = keys
    falls = values[1:] < values[:-1]
    descents = int(np.count_nonzero(falls))
    rising = descents <= len(falls) - descents
    cuts = np.flatnonzero(falls if rising else ~falls) + 1
    if len(cuts) >= MOST:
        return None
    result = []
    for begin, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        first, stop = (ascending if rising else descending)(values[begin:end], wanted)
        result.append(Range(begins[begin + first], begins[begin + stop]))
    return tuple(result)


def _ascending_from(values: Array, wanted: Array) -> tuple[Array, Array]:
    first = np.searchsorted(values, wanted, "left")
    return first, np.full_like(first, len(values))


def _ascending_to(values: Array, wanted: Array) -> tuple[Array, Array]:
    stop = np.searchsorted(values, wanted, "right")
    return np.zeros_like(stop), stop


def _descending_from(values: Array, wanted: Array) -> tuple[Array, Array]:
    stop = len(values) - np.searchsorted(values[::-1], wanted, "left")
    return np.zeros_like(stop), stop


def _descending_to(values: Array, wanted: Array) -> tuple[Array, Array]:
    first = len(values) - np.searchsorted(values[::-1], wanted, "right")
    return first, np.full_like(first, len(values))


_SEARCHES: dict[Relation, Callable[[Runs, Array], Ranges | None]] = {
    Relation.EQUAL: _equal,
    Relation.UNEQUAL: _unequal,
    Relation.AT_LEAST: _at_least,
    Relation.AT_MOST: _at_most,
}


def _stacked(groups: list[Ranges], shape: tuple[int, ...]) -> Ranges:
    """Return the ranges of all groups as arrays of ``shape``."""
    if len(groups) == 1:
        return tuple(Range(*(end.reshape(shape) for end in one)) for one in groups[0])
    count = max(map(len, groups))
    ends = np.zeros((count, 2, len(groups), shape[-1]), np.int64)
    for group, ranges in enumerate(groups):
        for index, one in enumerate(ranges):
            ends[index, 0, group], ends[index, 1, group] = one
    return tuple(Range(*(end.reshape(shape) for end in pair)) for pair in ends)
