"""Faults planted in ranges, runs, tables and sets of ids: each is seen by what guards it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_block_tables
import test_from_ranges
import test_id_sets
import test_runs
import test_steady
from profiles import unshrunk

from maskc.analysis.key_ranges import bound, derive, lookup, ranges
from maskc.analysis.key_ranges.lines import End, Ends
from maskc.analysis.key_ranges.ranges import Range
from maskc.analysis.key_ranges.values import Values
from maskc.analysis.tables import block_tables, compact
from maskc.analysis.tables.block_tables import _by_key
from maskc.analysis.tiles import from_ranges, id_sets, runs, spans, steady
from maskc.analysis.tiles.spans import Spans

sys.path.append(str(Path(__file__).parents[1] / "key_ranges"))
import test_derive
import test_lookup

pytestmark = pytest.mark.planted

REAL_BOUND, REAL_FLAGS, REAL_ALONG = bound.bound, id_sets._flags, End.along
REAL_TOTAL = Values.total


def off_by_one(expr: Any, wanted: bool) -> Any:
    found = REAL_BOUND(expr, wanted)
    return found and replace(found, query=found.query.shifted(1))


def one_flag_less(number: Any, shape: Any, size: int) -> Any:
    known = number < shape[1] - 1
    return REAL_FLAGS(np.where(known, number, 0), shape, size)


def without_touching(row: Any, first: Any, stop: Any) -> Any:
    return runs.Runs(row, first, stop)


def any_rows_are_nested(runs: Any, count: Any, shape: Any) -> Any:
    memory = np.tile(np.arange(shape[3], dtype=np.int32), shape[0] * shape[1])
    return compact.Layout(memory, shape[3], 0)


FAULTS: list[tuple[str, Any, str, Any, Callable[[], None]]] = [
    ("a bound off by one", derive, "bound", off_by_one, test_derive.test_drawn),
    (
        "no room for what is made of numbers",
        Values,
        "total",
        lambda values, form, room=0: REAL_TOTAL(values, form),
        test_derive.test_sums_at_the_edge_of_32_bits,
    ),
    (
        "an and that forgets where one ends",
        ranges,
        "_overlap",
        lambda one, other: Range(np.maximum(one.first, other.first), one.stop),
        test_derive.test_drawn,
    ),
    (
        "ranges that overlap stay",
        ranges,
        "_merge",
        lambda found, place, k_len: None,
        test_derive.test_drawn,
    ),
    (
        "ranges in any order",
        ranges,
        "_sort",
        lambda found: None,
        test_derive.test_drawn,
    ),
    (
        "ranges beyond the keys",
        ranges,
        "_cropped",
        lambda one, k_len: one,
        test_derive.test_drawn,
    ),
    (
        "the first equal key alone",
        lookup,
        "_ascending_to",
        lambda values, wanted: (
            np.zeros(len(wanted), np.int64),
            np.searchsorted(values, wanted, "left"),
        ),
        test_lookup.test_looked_up,
    ),
    (
        "keys that fall, taken to rise",
        lookup,
        "_descending_from",
        lookup._ascending_from,
        test_lookup.test_looked_up,
    ),
    (
        "two vectors of one length are one",
        lookup,
        "_is_same",
        lambda a, b: a.shape == b.shape,
        test_lookup.test_looked_up,
    ),
    (
        "a block touched is a block covered",
        from_ranges,
        "_halves",
        lambda end, wide: end // np.int32(wide) * 2,
        test_block_tables.test_drawn,
    ),
    (
        "rows that do not meet are told by extremes",
        from_ranges,
        "_meet",
        lambda first, stop: True,
        test_from_ranges.test_one_range,
    ),
    (
        "the first row of a block stands for all",
        from_ranges,
        "_extremes",
        lambda ends, at: (ends[..., at], ends[..., at]),
        test_from_ranges.test_one_range,
    ),
    (
        "a column has the rows of the row of its number",
        Spans,
        "transposed",
        lambda spans, columns: spans if spans.edges.shape[2] == columns else None,
        test_from_ranges.test_one_range,
    ),
    (
        "edges that fall are searched as if they rose",
        spans,
        "_ascend",
        lambda edges: True,
        test_from_ranges.test_one_range,
    ),
    (
        "rows that do not meet end in lines",
        Ends,
        "meet",
        lambda ends, q_len: True,
        test_from_ranges.test_ends_are_lines,
    ),
    (
        "a stair is no lower than the line along its edges",
        End,
        "below",
        property(lambda end: end.above),
        test_from_ranges.test_ends_are_stairs,
    ),
    (
        "a stair is the line through it",
        End,
        "along",
        lambda end, rows: REAL_ALONG(end._replace(step=1), rows),
        test_from_ranges.test_ends_are_stairs,
    ),
    (
        "matrices are those by key, too",
        block_tables,
        "_by_key",
        lambda matrices: matrices if matrices.shape[2] == matrices.shape[3] else _by_key(matrices),
        test_block_tables.test_drawn,
    ),
    ("runs that touch stay two", test_runs, "merged", without_touching, test_runs.test_transposed),
    (
        "an id that no key has is a single one",
        id_sets,
        "_flags",
        one_flag_less,
        test_id_sets.test_two_sequences,
    ),
    (
        "two blocks share an id of another word",
        id_sets,
        "_words",
        lambda flags: id_sets.np.ones((1, len(flags)), id_sets.np.uint64),
        test_id_sets.test_beside_any_mask,
    ),
    (
        "any quotient of rows is the same all over a block",
        steady,
        "_divides",
        lambda rows, divisor, block: True,
        test_steady.test_beside_any_mask,
    ),
    (
        "any rows are taken to be nested",
        compact,
        "_nested",
        any_rows_are_nested,
        test_block_tables.test_drawn_in_small_steps,
    ),
    (
        "any rows are taken to count from 0",
        compact,
        "_counting",
        lambda runs, shape: any_rows_are_nested(runs, None, shape),
        test_block_tables.test_drawn_in_small_steps,
    ),
]


@pytest.mark.parametrize(
    ("place", "name", "fault", "guard"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)
def test_a_fault_is_seen(
    place: Any, name: str, fault: Any, guard: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, fault)
    with unshrunk(guard), pytest.raises(AssertionError):
        guard()
