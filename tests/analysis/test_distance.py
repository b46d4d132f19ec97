"""How far the keys of a mask can be: never too near, and exact for common masks."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import maskc
from maskc.analysis.distance import max_distance
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import And, Arith, Call, Compare, Expr, Index, IntConst, Not, Or
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Ix

Q, K = Index(Ix.Q), Index(Ix.K)
POINTS = [Point(0, 0, q, k) for q, k in product(range(13), range(13))]
FIRST = -6
"""The position of the first row: a batch that is padded in front has some below 0."""


def _grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Return ints made of smaller ones."""
    few = st.builds(IntConst, st.integers(1, 5))
    return st.one_of(
        st.builds(Arith, st.sampled_from([ArithOp.ADD, ArithOp.SUB]), inner, inner),
        st.builds(Arith, st.sampled_from([ArithOp.FLOORDIV, ArithOp.MOD]), inner, few),
        st.builds(Arith, st.just(ArithOp.MUL), st.builds(IntConst, st.integers(-3, 3)), inner),
        st.builds(Call, st.sampled_from([Fn.MIN, Fn.MAX]), st.tuples(inner, inner)),
        st.builds(Call, st.sampled_from([Fn.ABS, Fn.NEG]), st.tuples(inner)),
        st.builds(lambda x, a, b: Call(Fn.CLAMP, (x, a, b)), inner, few, few),
    )


INTS = st.recursive(
    st.one_of(st.just(Q), st.just(K), st.builds(IntConst, st.integers(-4, 9))),
    _grown,
    max_leaves=4,
)
COMPARISONS = st.builds(Compare, st.sampled_from(CompareOp), INTS, INTS)
MASKS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(lambda *args: And(args), inner, inner),
        st.builds(lambda *args: Or(args), inner, inner),
        st.builds(Not, inner),
    ),
    max_leaves=3,
)


@pytest.mark.parametrize(
    ("text", "behind", "ahead"),
    [
        ("causal", None, 0),
        ("full", None, None),
        ("!full", 0, 0),
        ("q < k", 0, None),
        ("causal & window(8)", 7, 0),
        ("window(2, 7)", 2, 7),
        ("chunked(16)", 15, 15),
        ("block_causal(4)", None, 3),
        ("block_band(8, 1)", 15, 15),
        ("lookahead(3)", None, 3),
        ("window(5) | sinks(3)", None, None),
        ("causal & (window(5) | sinks(3))", None, 0),
        ("window(5) & k >= 0", 4, 4),
        ("causal & (q - k < 9 | q - k == 20)", 20, 0),
        ("causal & !(q - k > 100)", 100, 0),
        ("max(k, 5) <= q & q - min(k, 50) < 8", 7, 0),
        ("window(4) & doc[q] == doc[k]", 3, 3),
        ("abs(2 * q - 2 * k) <= 9", 4, 4),
        ("q - k < 5 if k > 3 else q - k < 9", 8, None),
    ],
)
def test_distances(text: str, behind: int | None, ahead: int | None) -> None:
    assert maskc.compile_mask(text).max_distance() == (behind, ahead)


@settings(max_examples=200)
@example(Compare(CompareOp.LE, Arith(ArithOp.MUL, IntConst(2), Q), K))
@example(Compare(CompareOp.LE, Q, Arith(ArithOp.MUL, IntConst(2), K)))
@example(Compare(CompareOp.EQ, Arith(ArithOp.FLOORDIV, Q, IntConst(4)), K))
@given(MASKS)
def test_no_key_is_further_than_the_distance(mask: Expr) -> None:
    behind, ahead = max_distance(mask)
    env = Env({}, {}, lambda _, row: row + FIRST, lambda _, row: row + FIRST)
    for at in POINTS:
        if evaluate(mask, at, env):
            assert behind is None or at.q_idx - at.kv_idx <= behind
            assert ahead is None or at.kv_idx - at.q_idx <= ahead
