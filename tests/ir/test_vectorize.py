"""Evaluation on tensors is evaluation point by point."""

import math

import pytest
import torch
from calls import rows_of
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import floats, ints, masks, scores

from maskc.ir.nodes import (
    SCORE,
    TRUE,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    FloatConst,
    Index,
    Input,
    IntConst,
    Load,
    Size,
    Where,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Dim, Given, Ix, Sz, Type
from maskc.ir.vectorize import ROW_INDICES, At, Domain, everywhere, vectorize

Q, K = Index(Ix.Q_IDX), Index(Ix.KV_IDX)
SIZES = {Sz.BATCH_SIZE: 2, Sz.NUM_HEADS: 4, Sz.NUM_KV_HEADS: 2, Sz.Q_LEN: 5, Sz.KV_LEN: 3}
DIVISIONS = (ArithOp.FLOORDIV, ArithOp.MOD)
DIMS = (Dim.BATCH, Dim.HEAD, Dim.Q, Dim.K)


def domain(**tensors: torch.Tensor) -> Domain:
    return Domain(SIZES, tensors, torch.device("cpu"))


@settings(max_examples=examples(150))
@given(data=st.data(), expr=st.one_of(masks(), ints(), floats()))
def test_every_point_has_its_value(data: st.DataObject, expr: Expr) -> None:
    case: Case = data.draw(environments(expr, positions=True, pairs=True))
    rows, where = rows_of(expr, case, data.draw(st.booleans()))
    expected = case.matrix(expr)
    found = vectorize(rows, everywhere(where), where)
    assert torch.equal(found.to(expected.dtype).expand_as(expected), expected)


@given(data=st.data(), score=scores())
def test_scores_of_drawn_programs(data: st.DataObject, score: Expr) -> None:
    case: Case = data.draw(environments(score, positions=True))
    rows, where = rows_of(score, case, offsets=True)
    shape = case.batch_size, case.num_heads, case.q_len, case.kv_len
    old = torch.linspace(-4, 4, math.prod(shape), dtype=torch.float64).reshape(shape)
    found = vectorize(rows, everywhere(where), where, {Given.SCORE: old})
    expected = case.matrix(score, old)
    torch.testing.assert_close(found.expand(shape).double(), expected, rtol=1e-5, atol=1e-5)


@given(data=st.data(), expr=masks())
def test_some_points_have_the_value_they_have_among_all(data: st.DataObject, expr: Expr) -> None:
    """A list of points, gathered, agrees with the whole matrix, viewed."""
    case: Case = data.draw(environments(expr, positions=True))
    rows, where = rows_of(expr, case)
    picked = [
        torch.tensor(data.draw(st.lists(st.integers(0, size - 1), min_size=6, max_size=6)))
        for size in (where.extent(which) for which in ROW_INDICES)
    ]
    at = At(dict(zip(ROW_INDICES, picked, strict=True)))
    expected = case.matrix(expr)[tuple(picked)]
    assert torch.equal(vectorize(rows, at, where).expand_as(expected), expected)


@given(data=st.data(), expr=masks())
def test_a_value_is_no_larger_than_what_it_depends_on(data: st.DataObject, expr: Expr) -> None:
    case: Case = data.draw(environments(expr))
    rows, where = rows_of(expr, case)
    found = vectorize(rows, everywhere(where), where)
    shape = (1,) * (4 - found.dim()) + tuple(found.shape)
    for dim, size in zip(DIMS, shape, strict=True):
        assert size == 1 or dim in rows.deps


def test_an_input_over_whole_rows_is_a_view() -> None:
    table = torch.randn(4, 9, 2)
    found = vectorize(
        Load(Input("t", Type.FLOAT), (Index(Ix.HEAD), Q, Index(Ix.BATCH))),
        everywhere(domain(t=table)),
        domain(t=table),
    )
    assert found.shape == (2, 4, 5, 1)
    assert found.untyped_storage().data_ptr() == table.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_constants_widen_no_dtype(dtype: torch.dtype) -> None:
    table = torch.ones(4, dtype=dtype)
    load = Load(Input("t", Type.FLOAT), (Index(Ix.HEAD),))
    for term in (IntConst(2), FloatConst(0.5), Size(Sz.Q_LEN), Call(Fn.LOG, (Size(Sz.Q_LEN),))):
        scaled = vectorize(Arith(ArithOp.MUL, load, term), everywhere(domain()), domain(t=table))
        assert scaled.dtype is torch.promote_types(dtype, torch.float32)


def test_a_result_of_numbers_is_a_tensor() -> None:
    assert vectorize(TRUE, everywhere(domain()), domain()).dtype is torch.bool
    assert vectorize(Size(Sz.Q_LEN), everywhere(domain()), domain()).item() == 5


def test_reads_stay_inside_their_input() -> None:
    table = torch.tensor([1, 2])
    load = Load(Input("t", Type.INT), (Arith(ArithOp.SUB, Q, IntConst(1)),))
    found = vectorize(load, everywhere(domain()), domain(t=table))
    assert found.flatten().tolist() == [1, 1, 2, 2, 2]


def test_a_divisor_of_zero_is_taken_as_one() -> None:
    for op, expected in ((ArithOp.FLOORDIV, [7, 7, 3, 2, 1]), (ArithOp.MOD, [0, 0, 1, 1, 3])):
        found = vectorize(Arith(op, IntConst(7), Q), everywhere(domain()), domain())
        assert found.flatten().tolist() == expected


@pytest.mark.parametrize("divisor", [3, -3])
def test_division_floors(divisor: int) -> None:
    terms = Arith(ArithOp.SUB, Q, IntConst(2)), IntConst(divisor)
    found = {op: vectorize(Arith(op, *terms), everywhere(domain()), domain()) for op in DIVISIONS}
    rows = range(-2, 3)
    assert found[ArithOp.FLOORDIV].flatten().tolist() == [row // divisor for row in rows]
    assert found[ArithOp.MOD].flatten().tolist() == [row % divisor for row in rows]


def test_the_gradient_reaches_inputs() -> None:
    table = torch.ones(4, requires_grad=True)
    load = Load(Input("t", Type.FLOAT), (Index(Ix.HEAD),))
    score = torch.ones(2, 4, 5, 3)
    where = domain(t=table)
    new = vectorize(Arith(ArithOp.MUL, SCORE, load), everywhere(where), where, {Given.SCORE: score})
    new.sum().backward()
    assert table.grad.tolist() == [30.0] * 4


@pytest.mark.parametrize("cond", [True, False])
def test_a_choice_by_a_number(cond: bool) -> None:
    chosen = vectorize(Where(BoolConst(cond), Q, K), everywhere(domain()), domain())
    assert chosen.shape == ((1, 1, 5, 1) if cond else (1, 1, 1, 3))


def test_a_number_past_32_bits_is_infinite_beside_a_tensor() -> None:
    many = Arith(ArithOp.MUL, FloatConst(-1e38), Size(Sz.NUM_HEADS))
    masked = Where(Compare(CompareOp.LE, K, Q), FloatConst(0.0), many)
    where = domain()
    first = vectorize(masked, everywhere(where), where)[0, 0, 0]
    assert first.tolist() == [0.0, -math.inf, -math.inf]
