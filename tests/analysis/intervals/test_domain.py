"""Every abstract operation holds at every concrete point, overflow, NaN and infinity included."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from maskc.analysis.intervals import domain as bounds
from maskc.analysis.intervals import floats, integers
from maskc.analysis.intervals.domain import Bounds, Truth
from maskc.ir.operators import ArithOp, CompareOp, Fn, Gives
from maskc.ir.types import Type
from maskc.ir.vectorize import arithmetic, choose, function
from maskc.limits import MAX_INT64

EXTREMES = [0, 1, -1, 2**31, -(2**31), 2**62, -(2**62), MAX_INT64, -MAX_INT64 - 1]
INTS = st.one_of(
    st.integers(-9, 9), st.sampled_from(EXTREMES), st.integers(-MAX_INT64 - 1, MAX_INT64)
)
FLOATS = st.one_of(
    st.integers(-8, 8).map(lambda n: n / 4),
    st.sampled_from([math.inf, -math.inf, math.nan, 1e-40, 3e38, -3e38]),
    st.floats(width=32),
)
TRUTHS = st.lists(st.booleans(), min_size=1, max_size=3)


@st.composite
def int_sets(draw: st.DrawFn) -> list[int]:
    """Draw the values of an int on a tile."""
    return draw(st.lists(INTS, min_size=1, max_size=4))


@st.composite
def float_sets(draw: st.DrawFn) -> list[float]:
    """Draw the values of a float on a tile."""
    return draw(st.lists(FLOATS, min_size=1, max_size=4))


def int_bounds(values: list[int]) -> Bounds:
    lo = torch.tensor(min(values))
    hi = lo if len(set(values)) == 1 else torch.tensor(max(values))
    return Bounds(lo, hi, max(map(abs, values)))


def float_bounds(values: list[float]) -> Bounds:
    tensor = torch.tensor(values, dtype=torch.float32)
    return Bounds(tensor.amin(), tensor.amax())


def holds(bound: Bounds, value: Tensor) -> bool:
    """Tell whether a claim is true; of a NaN it may claim nothing."""
    if value.isnan():
        return math.isnan(bound.lo) and math.isnan(bound.hi)
    return not bool(bound.lo > value) and not bool(bound.hi < value)


INT_OPERATIONS: dict[ArithOp, Callable[[Bounds, Bounds], Bounds]] = {
    ArithOp.ADD: lambda a, b: integers.total([(1, a), (1, b)], 0),
    ArithOp.SUB: lambda a, b: integers.total([(1, a), (-1, b)], 0),
    ArithOp.MUL: integers.product,
    ArithOp.FLOORDIV: integers.quotient,
    ArithOp.MOD: integers.remainder,
}


@pytest.mark.parametrize("op", INT_OPERATIONS)
@given(xs=int_sets(), ys=int_sets())
def test_int_arithmetic(op: ArithOp, xs: list[int], ys: list[int]) -> None:
    result = INT_OPERATIONS[op](int_bounds(xs), int_bounds(ys))
    for x in xs:
        for y in ys:
            assume(not (x == -MAX_INT64 - 1 and y == -1))  # the quotient has no 64 bits
            value = arithmetic(op, torch.tensor(x), torch.tensor(y), Type.INT)
            assert holds(result, value), (x, y, value)
            assert abs(int(value)) <= result.reach


@given(xs=int_sets(), ys=int_sets(), factors=st.tuples(*[st.integers(-9, 9)] * 3))
def test_total(xs: list[int], ys: list[int], factors: tuple[int, int, int]) -> None:
    a, b, c = factors
    result = integers.total([(a, int_bounds(xs)), (b, int_bounds(ys))], c)
    for x in xs:
        for y in ys:
            assert holds(result, a * torch.tensor(x) + b * torch.tensor(y) + c)


@given(xs=int_sets(), exponent=st.integers(0, 5))
def test_int_power(xs: list[int], exponent: int) -> None:
    result = integers.power(int_bounds(xs), exponent)
    for x in xs:
        assert holds(result, torch.tensor(x) ** exponent)


@given(xs=int_sets())
def test_int_absolute(xs: list[int]) -> None:
    result = integers.absolute(int_bounds(xs))
    for x in xs:
        assert holds(result, torch.tensor(x).abs())


def test_ints_are_exact_where_they_can_be() -> None:
    a, b = int_bounds([3, 17]), int_bounds([4, 6])
    assert ends(INT_OPERATIONS[ArithOp.SUB](a, b)) == (-3, 13)
    assert ends(integers.product(a, int_bounds([-2]))) == (-34, -6)
    assert ends(integers.quotient(a, int_bounds([4]))) == (0, 4)
    assert ends(integers.remainder(int_bounds([13, 15]), int_bounds([4]))) == (1, 3)
    assert ends(integers.remainder(a, int_bounds([4]))) == (0, 3)
    assert ends(integers.power(int_bounds([-3, 2]), 2)) == (0, 9)


@pytest.mark.parametrize("op", ArithOp)
@given(xs=float_sets(), ys=float_sets())
def test_float_arithmetic(op: ArithOp, xs: list[float], ys: list[float]) -> None:
    result = floats.arithmetic(op, float_bounds(xs), float_bounds(ys))
    for x in xs:
        for y in ys:
            value = arithmetic(op, torch.tensor(x), torch.tensor(y), Type.FLOAT)
            assert holds(result, value), (x, y, value)


FLOAT_FUNCTIONS = [
    fn for fn in Fn if fn.value.parameters == "x" and fn.value.gives in (Gives.FLOAT, Gives.WIDEST)
]


@pytest.mark.parametrize("fn", FLOAT_FUNCTIONS)
@given(xs=float_sets())
def test_float_functions(fn: Fn, xs: list[float]) -> None:
    result = floats.function(fn, [float_bounds(xs)])
    for x in xs:
        assert holds(result, function(fn, [torch.tensor(x)])), x


@pytest.mark.parametrize("op", CompareOp)
@given(data=st.data(), kinds=st.tuples(*[st.sampled_from([Type.INT, Type.FLOAT])] * 2))
def test_compare(op: CompareOp, data: st.DataObject, kinds: tuple[Type, Type]) -> None:
    sides, known = [], []
    for kind in kinds:
        values = data.draw(int_sets() if kind is Type.INT else float_sets())
        sides.append([torch.tensor(x) for x in values])
        known.append(int_bounds(values) if kind is Type.INT else float_bounds(values))
    verdict = bounds.compare(op, *known)
    for x in sides[0]:
        for y in sides[1]:
            assert_verdict(verdict, bool(op.value.tensor(x, y)))


def truth(values: list[bool]) -> Truth:
    return Truth(torch.tensor(all(values)), torch.tensor(not any(values)))


@given(TRUTHS, TRUTHS, TRUTHS)
def test_booleans(xs: list[bool], ys: list[bool], zs: list[bool]) -> None:
    a, b, c = truth(xs), truth(ys), truth(zs)
    for x in xs:
        assert_verdict(~a, not x)
        for y in ys:
            assert_verdict(bounds.conjunction([a, b]), x and y)
            assert_verdict(bounds.disjunction([a, b]), x or y)
            assert_verdict(bounds.same(a, b), x == y)
            for z in zs:
                assert_verdict(bounds.choose(a, b, c), y if x else z)


@given(TRUTHS, float_sets(), float_sets())
def test_choice_of_numbers(conds: list[bool], xs: list[float], ys: list[float]) -> None:
    result = bounds.choose(truth(conds), float_bounds(xs), float_bounds(ys))
    for cond in conds:
        for x in xs:
            for y in ys:
                value = choose(torch.tensor(cond), torch.tensor(x), torch.tensor(y))
                assert holds(result, value)


def assert_verdict(verdict: Truth, value: bool) -> None:
    assert not (verdict.always and not value)
    assert not (verdict.never and value)


def ends(bound: Bounds) -> tuple[int, int]:
    return int(bound.lo), int(bound.hi)
