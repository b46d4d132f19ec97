"""A separation adds up to the bias it came from, and keeps q and k apart."""

import pytest
import torch
from environments import Case
from hypothesis import example, given
from hypothesis import strategies as st
from separable import HEADER, biases, inputs_of, program_of

from maskc.analysis.scores.score_class import Additive, Identity, classify
from maskc.analysis.scores.separate import Lookup, Product, Term, needs_key_heads, separate
from maskc.ir.nodes import Arith, Expr, FloatConst
from maskc.ir.operators import ArithOp
from maskc.ir.types import Dim

CASE = Case(2, 2, 2, 5, 7)


def bias_of(text: str) -> Expr:
    """Return a bias as it is after simplification, 0 where nothing is left of it."""
    match classify(program_of(text).module.score):
        case Additive(bias):
            return bias
        case Identity():
            return FloatConst(0.0)
        case other:
            pytest.fail(f"no bias: {other}")


def value_of(term: Term) -> Expr:
    product = Arith(ArithOp.MUL, term.query, term.key)
    return Arith(ArithOp.MUL, product, term.table) if isinstance(term, Lookup) else product


def assert_separated(text: str) -> None:
    bias = bias_of(text)
    terms = separate(bias)
    assert terms is not None, text
    case = Case(2, 2, 2, 5, 7, inputs_of(text, CASE))
    expected = case.matrix(bias).double()
    total = torch.zeros_like(expected)
    for term in terms:
        assert Dim.K not in term.query.deps, text
        assert Dim.Q not in term.key.deps, text
        if isinstance(term, Lookup):
            assert Dim.Q not in term.subscript.deps, text
        total = total + case.matrix(value_of(term))
    torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-9)


@example(text="-((q - q))")  # nothing is left of it
@given(text=biases())
def test_a_separation_adds_up(text: str) -> None:
    assert_separated(text)


SEPARABLE = {
    "slopes[head] * (k - q)": 2,
    "(slopes[head] - 1) * (q - k) * 0.5": 2,
    "along[k]": 1,
    "across[q] * along[k] / 3": 1,
    "table[head, q_idx, k % 5]": 1,
    "table[head, q_idx, k % 5] * along[k] - table[head, q_idx, k // 2]": 2,
    "where(k < 3, along[k], slopes[head])": 2,
    "where(q < 3, along[k], 0.0)": 1,
    "(q + k) * (q - k)": 3,
    "where(q > 2 & k % 2 == 0, along[k], 0.0)": 1,
    "where(q > 2 | k % 2 == 0, along[k], slopes[head])": 4,
}


@pytest.mark.parametrize("text", SEPARABLE)
def test_separable_biases(text: str) -> None:
    assert_separated(text)
    terms = separate(bias_of(text))
    assert terms is not None
    assert len(terms) <= SEPARABLE[text]


NOT_SEPARABLE = [
    "slopes[head] * abs(q - k)",
    "pairs[q, k]",
    "table[head, q_idx, clamp(q - k, 0, 4)]",
    "exp(0.1 * (q - k))",
    "where(q < k, 1.0, 0.0)",
    "table[head, q_idx, k % 5] * table[head, q_idx, k // 2]",
    "table[head, min(q_idx, kv_len - 1), k % 5]",
]


@pytest.mark.parametrize("text", NOT_SEPARABLE)
def test_what_does_not_separate(text: str) -> None:
    assert separate(bias_of(text)) is None


def test_head_factors_go_with_q() -> None:
    terms = separate(bias_of("slopes[head] * (k - q)"))
    assert terms is not None
    assert not any(map(needs_key_heads, terms))
    (per_head,) = separate(bias_of("keyed[head, k]")) or ()
    assert isinstance(per_head, Product)
    assert needs_key_heads(per_head)


def test_the_header_declares_what_is_drawn() -> None:
    assert "slopes" in HEADER


@given(data=st.data())
def test_a_planted_fault_is_seen(data: st.DataObject) -> None:
    """A separation that loses a sign does not add up."""
    bias = bias_of("slopes[head] * (k - q)")
    terms = separate(bias)
    assert terms is not None
    case = Case(2, 2, 2, 5, 7, inputs_of("slopes", CASE))
    kept = data.draw(st.sampled_from(terms))
    assert not torch.allclose(case.matrix(value_of(kept)), case.matrix(bias))
