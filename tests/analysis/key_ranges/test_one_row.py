"""The keys of one query row are the mask's, whatever ints and booleans it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from environments import Case, environments
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import dense, domain_of, row_mask, rows_of_case
from strategies import masks

from maskc.analysis.key_ranges import one_row
from maskc.analysis.key_ranges.one_row import booleans, is_exact, keys_of_row
from maskc.analysis.key_ranges.row_terms import Row, affine
from maskc.ir.domain import Domain
from maskc.ir.nodes import Arith, Expr, IntConst
from maskc.ir.operators import ArithOp
from maskc.ir.rows import KV_ROW
from maskc.ir.types import Sz
from maskc.run import steps


def first_row(case: Case) -> Case:
    """Return a case with its first query alone."""
    table = case.q_positions
    return replace(case, q_len=1, q_positions=None if table is None else table[..., :1])


def row_of(domain: Domain) -> Row:
    arrays = {name: tensor.numpy() for name, tensor in domain.tensors.items()}
    numbers = {name: int(array) for name, array in arrays.items() if not array.ndim}
    k_len, sizes = domain.sizes[Sz.KV_LEN], dict(domain.sizes.items())
    return Row(k_len, sizes, {**sizes, **numbers}, arrays)


def assert_keys(mask: Expr, domain: Domain) -> str:
    """Hold the keys of a row to the mask, and tell in which form they came."""
    row = row_of(domain)
    found = keys_of_row(mask, row)
    batch, heads = domain.sizes[Sz.BATCH_SIZE], domain.sizes[Sz.NUM_HEADS]
    true = dense(mask, domain, batch, heads)[:, :, 0]
    kept = torch.from_numpy(booleans(found, row).copy()).expand_as(true)
    assert torch.equal(kept, true)
    if isinstance(found, tuple):
        ends = [end for span in found for end in span]
        assert ends == sorted(set(ends)), "spans ascend, hold a key each, and do not touch"
        assert all(0 <= end <= row.k_len for end in ends)
        return f"{len(found)} spans"
    return "booleans"


@settings(max_examples=examples(200))
@given(st.data(), st.one_of(masks(depth=1), masks(depth=2), masks()), st.booleans())
def test_drawn(data: st.DataObject, drawn: Expr, positions: bool) -> None:
    case = first_row(data.draw(environments(drawn, positions=positions)))
    mask, domain = rows_of_case(drawn, case)
    assume(is_exact(mask))
    event(assert_keys(mask, domain))


@settings(max_examples=examples(40))
@given(st.integers(-3, 3), st.integers(-9, 9), st.integers(1, 9))
def test_the_reach_of_a_subscript(factor: int, constant: int, k_len: int) -> None:
    index = Arith(ArithOp.ADD, Arith(ArithOp.MUL, IntConst(factor), KV_ROW), IntConst(constant))
    values = [factor * k + constant for k in range(k_len)]
    form = affine(index)
    assert form is not None
    assert form.reach(row_of(domain_of(1, k_len))) == (min(values), max(values) + 1)


TABLE = torch.tensor([2, 2, 1, 2, 1, 1, 2, 1, 0])
TEXTS = (
    "k < 40",
    "k >= 3 & k < 7",
    "k < 2 | k > 5",
    "!(3 <= k & k < 5)",
    "2 * k == 6",
    "input t: int; t[k] == t[q]",
    "input t: int; t[k] > 1 & k < 4",
    "input t: int; k // 4 == 1 | t[k] + t[q + 1] != 3",
)


def test_by_hand() -> None:
    for text in TEXTS:
        domain = domain_of(1, 9, t=TABLE)
        assert_keys(row_mask(text, domain), domain)


def _spans(first: int, stop: int, row: Row) -> one_row.Spans:
    return ((first, stop),) if first < stop else ()


FAULTS: list[tuple[str, str, Any]] = [
    ("spans beyond the keys", "_within", _spans),
    ("gaps without the last", "_gaps", lambda spans, row: tuple(spans)),
    ("any run is a span", "_as_span", lambda true, row: ((0, row.k_len),)),
    ("an `or` is its first part", "_either", lambda one, other, row: one),
    ("an `and` is its first part", "_both", lambda one, other, row: one),
]


@pytest.mark.planted
@pytest.mark.parametrize(("name", "fault"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_planted_faults_are_seen(name: str, fault: Any) -> None:
    with mock.patch.object(one_row, name, fault), pytest.raises((AssertionError, ValueError)):
        test_by_hand()


def test_what_is_seen_is_a_slice_and_a_mask() -> None:
    sizes = {Sz.BATCH_SIZE: 2, Sz.NUM_HEADS: 4, Sz.NUM_KV_HEADS: 2, Sz.KV_LEN: 9}
    row = Row(9, sizes, {**sizes}, {})
    assert steps._seen((), row) is None
    whole = steps._seen(((0, 9),), row)
    assert whole is not None
    assert (whole.first, whole.stop, whole.mask) == (0, 9, None)
    two = steps._seen(((1, 3), (5, 6)), row)
    assert two is not None
    assert two.mask is not None
    assert (two.first, two.stop) == (1, 6)
    assert two.mask.flatten().tolist() == [True, True, False, False, True]
    gap = two.hidden(2)
    assert gap is not None
    assert gap.keys == range(2, 4)
    by_head = np.zeros((1, 4, 9), np.bool_)
    by_head[:, 0, 2:5] = by_head[:, 3, 3:7] = True
    found = steps._seen(by_head, row)
    hidden = None if found is None else found.hidden(2)
    assert hidden is not None
    assert hidden.seen.shape == (1, 2, 5, 1)
    assert hidden.keys == range(5)
