"""The laws of index arithmetic and bounds, on the terms that they are about."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from profiles import examples, find_fault

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.linear import linear, to_expr
from maskc.ir.nodes import (
    OUT,
    SCORE,
    And,
    Arith,
    Call,
    Compare,
    Expr,
    Index,
    IntConst,
    Module,
    Not,
    Or,
    Size,
    rewrite,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Ix, Sz
from maskc.passes.support.constraint import constraint, shown
from maskc.passes.support.driver import simplify
from maskc.passes.support.ranges import range_of

LEAVES = st.one_of(
    st.sampled_from([Index(which) for which in (Ix.Q, Ix.K, Ix.Q_IDX, Ix.KV_IDX)]),
    st.sampled_from([Index(Ix.Q), Index(Ix.K)]),
    st.sampled_from([Size(Sz.Q_LEN), Size(Sz.KV_LEN), Index(Ix.KV_HEAD), Index(Ix.HEAD)]),
    st.builds(IntConst, st.integers(-9, 9)),
)
DIVISORS = st.builds(IntConst, st.sampled_from([1, 2, 3, 4, 6, 8, 12, -2]))
SUMS = st.sampled_from([ArithOp.ADD, ArithOp.SUB])
QUOTIENTS = st.sampled_from([ArithOp.FLOORDIV, ArithOp.MOD])


def _grown(parts: SearchStrategy[Expr]) -> SearchStrategy[Expr]:
    return st.one_of(
        st.builds(Arith, SUMS, parts, parts),
        st.builds(Arith, SUMS, parts, parts),
        st.builds(Arith, st.just(ArithOp.MUL), st.builds(IntConst, st.integers(-6, 8)), parts),
        st.builds(Arith, QUOTIENTS, parts, DIVISORS),
        st.builds(Arith, QUOTIENTS, parts, DIVISORS),
        st.builds(lambda a: Call(Fn.ABS, (a,)), parts),
        st.builds(lambda f, a, b: Call(f, (a, b)), st.sampled_from([Fn.MIN, Fn.MAX]), parts, parts),
        st.builds(lambda a, b, c: Call(Fn.CLAMP, (a, b, c)), parts, parts, parts),
    )


TERMS: SearchStrategy[Expr] = st.recursive(LEAVES, _grown, max_leaves=7)
BOUNDS = st.builds(Compare, st.sampled_from(CompareOp), TERMS, TERMS)
SIMPLE = st.builds(
    Compare,
    st.sampled_from(CompareOp),
    st.sampled_from(
        [
            Index(Ix.Q),
            Index(Ix.K),
            Arith(ArithOp.SUB, Index(Ix.Q), Index(Ix.K)),
            Arith(ArithOp.SUB, Index(Ix.K), Index(Ix.Q)),
            Arith(ArithOp.FLOORDIV, Index(Ix.Q), IntConst(2)),
        ]
    ),
    st.one_of(st.builds(IntConst, st.integers(-4, 4)), LEAVES),
)
JOINS = st.one_of(
    st.builds(lambda a: And(tuple(a)), st.lists(SIMPLE, min_size=2, max_size=5)),
    st.builds(lambda a: Or(tuple(a)), st.lists(SIMPLE, min_size=2, max_size=5)),
    st.builds(lambda a: Not(And(tuple(a))), st.lists(SIMPLE, min_size=2, max_size=4)),
)
SIZES = st.tuples(*[st.sampled_from([1, 2, 5, 7])] * 2, st.sampled_from([(1, 1), (4, 2), (3, 3)]))
SHIFTS = st.tuples(st.integers(0, 9), st.integers(0, 9))


@st.composite
def places(draw: st.DrawFn) -> tuple[Point, Env]:
    q_len, kv_len, (heads, kv_heads) = draw(SIZES)
    q_shift, k_shift = draw(SHIFTS)
    at = Point(0, *(draw(st.integers(0, size - 1)) for size in (heads, q_len, kv_len)))
    sizes = dict(zip(Sz, (1, heads, kv_heads, q_len, kv_len), strict=True))
    shifted = (lambda _, row: row + q_shift), (lambda _, row: row + k_shift)
    return at, Env(sizes, {}, *shifted)


def simplified(mask: Expr) -> Expr:
    return simplify(Module(mask, SCORE, OUT)).module.mask


PLACES = st.lists(places(), min_size=15, max_size=15)


@settings(max_examples=examples(300))
@given(mask=st.one_of(BOUNDS, JOINS), at=PLACES)
def test_simplified_bounds_hold_where_they_held(mask: Expr, at: list[tuple[Point, Env]]) -> None:
    after = simplified(mask)
    for place in at:
        assert evaluate(after, *place) == evaluate(mask, *place)
    assert simplified(after) == after


@settings(max_examples=examples(300))
@given(term=TERMS, at=PLACES)
def test_ranges_hold(term: Expr, at: list[tuple[Point, Env]]) -> None:
    low, high = range_of(term)
    for place in at:
        value = evaluate(term, *place)
        assert low is None or low <= value
        assert high is None or value <= high
        assert evaluate(to_expr(linear(term)), *place) == value


@given(bound=BOUNDS, at=PLACES)
def test_a_constraint_and_its_negation_are_opposites(
    bound: Expr, at: list[tuple[Point, Env]]
) -> None:
    found = constraint(bound)
    assert found is not None
    positive, negative = shown(found), shown(found.negated())
    assert positive is not None
    assert negative is not None
    for place in at:
        value = evaluate(bound, *place)
        assert evaluate(positive, *place) == value
        assert evaluate(negative, *place) != value


def _wrong_quotient(expr: Expr) -> Expr | None:
    """A wrong law: `(a + b) // n` is no `a // n + b // n`."""
    match expr:
        case Arith(ArithOp.FLOORDIV, Arith(ArithOp.ADD, a, b), IntConst(n)) if n > 1:
            parts = (Arith(ArithOp.FLOORDIV, part, IntConst(n)) for part in (a, b))
            return Arith(ArithOp.ADD, *parts)
        case _:
            return None


@pytest.mark.planted
def test_a_wrong_quotient_is_caught() -> None:
    def is_caught(drawn: tuple[Expr, list[tuple[Point, Env]]]) -> bool:
        term, at = drawn
        wrong = rewrite(term, _wrong_quotient)
        return any(evaluate(wrong, *place) != evaluate(term, *place) for place in at)

    quotients = st.builds(
        lambda a, b, n: Arith(ArithOp.FLOORDIV, Arith(ArithOp.ADD, a, b), IntConst(n)),
        TERMS,
        TERMS,
        st.integers(2, 7),
    )
    find_fault(st.tuples(quotients, PLACES), is_caught)


def test_nested_extremes_do_not_multiply() -> None:
    term: Expr = Index(Ix.Q)
    for _ in range(40):
        term = Call(Fn.ABS, (Arith(ArithOp.SUB, term, Index(Ix.K)),))
    bound = Compare(CompareOp.LT, term, IntConst(3))
    assert simplified(bound).weight < 4 * bound.weight
