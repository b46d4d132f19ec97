"""What is claimed of a tile holds at each of its points, by the evaluator."""

from __future__ import annotations

import math

import torch
from environments import Case, environments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import examples
from row_programs import domain_of, row_mask, rows_of_case
from strategies import floats, ints, masks

from maskc.analysis.intervals.domain import Bounds
from maskc.analysis.intervals.evaluate import Box, Cover
from maskc.ir.nodes import Compare, Expr, IntConst
from maskc.ir.operators import CompareOp
from maskc.ir.types import Ix


@st.composite
def tiles(draw: st.DrawFn, case: Case, count: int = 3) -> tuple[Box, list[tuple[range, ...]]]:
    """Draw tiles of one batch and head each; return them as a box and as ranges of rows."""
    extents = case.batch_size, case.num_heads, case.q_len, case.kv_len
    listed = []
    for _ in range(count):
        batch, head, q, k = (draw(st.integers(0, extent - 1)) for extent in extents)
        last_q, last_k = draw(st.integers(q, case.q_len - 1)), draw(st.integers(k, case.kv_len - 1))
        ends = (batch, batch), (head, head), (q, last_q), (k, last_k)
        listed.append(tuple(range(lo, hi + 1) for lo, hi in ends))
    box = {}
    for dim, which in enumerate((Ix.BATCH, Ix.HEAD, Ix.Q_IDX, Ix.KV_IDX)):
        lo = torch.tensor([tile[dim][0] for tile in listed])
        hi = torch.tensor([tile[dim][-1] for tile in listed])
        box[which] = Bounds(lo, lo if dim < 2 else hi, extents[dim])
    return box, listed


def values(case: Case, expr: Expr, tile: tuple[range, ...]) -> torch.Tensor:
    b, h, q, k = (slice(side[0], side[-1] + 1) for side in tile)
    return case.matrix(expr)[b, h, q, k]


@settings(max_examples=examples(100))
@given(st.data(), masks(depth=4), st.booleans())
def test_verdicts(data: st.DataObject, mask: Expr, positions: bool) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    box, listed = data.draw(tiles(case))
    verdict = Cover(*rows_of_case(mask, case)).truth(box)
    always = torch.as_tensor(verdict.always).expand(len(listed))
    never = torch.as_tensor(verdict.never).expand(len(listed))
    for place, tile in enumerate(listed):
        true = values(case, mask, tile)
        assert not always[place] or true.all()
        assert not never[place] or not true.any()


@given(st.data(), ints(), st.booleans())
def test_int_terms(data: st.DataObject, term: Expr, positions: bool) -> None:
    assert_bounds(data, term, positions)


@settings(suppress_health_check=list(HealthCheck))
@given(st.data(), floats(depth=2), st.booleans())
def test_float_terms(data: st.DataObject, term: Expr, positions: bool) -> None:
    assert_bounds(data, term, positions)


def assert_bounds(data: st.DataObject, term: Expr, positions: bool) -> None:
    mask = Compare(CompareOp.LE, term, IntConst(0))
    case = data.draw(environments(mask, positions=positions, pairs=True))
    box, listed = data.draw(tiles(case))
    rows, domain = rows_of_case(mask, case)
    assert isinstance(rows, Compare)
    bound = Cover(rows, domain).evaluation(box).number(rows.left)
    lo = torch.as_tensor(bound.lo).expand(len(listed))
    hi = torch.as_tensor(bound.hi).expand(len(listed))
    for place, tile in enumerate(listed):
        for value in values(case, term, tile).flatten().tolist():
            if math.isnan(value):
                assert lo[place].isnan()
            assert not lo[place] > value
            assert not hi[place] < value


def test_sums_are_bounded_as_one() -> None:
    """Where q appears on both sides, or twice in a sum, it is the same q."""
    domain = domain_of(100, 100)
    box = {
        Ix.Q_IDX: Bounds(torch.tensor([10]), torch.tensor([19]), 99),
        Ix.KV_IDX: Bounds(torch.tensor([0]), torch.tensor([9]), 99),
    }
    for text in ["q - k < 20", "q + 1 > q - k", "2 * (q - k) - q - q <= -2 * k", "k - q + q < 10"]:
        assert bool(Cover(row_mask(text, domain), domain).truth(box).always), text


def test_ints_that_may_leave_64_bits_are_unknown() -> None:
    huge = torch.tensor([2**62, -(2**62), 5])
    domain = domain_of(3, 3, x=huge)
    mask = row_mask("input x: int; x[q] * 4 < x[k]", domain)
    box = {ix: Bounds(torch.tensor([0]), torch.tensor([2]), 2) for ix in (Ix.Q_IDX, Ix.KV_IDX)}
    verdict = Cover(mask, domain).truth(box)
    assert not verdict.always
    assert not verdict.never
