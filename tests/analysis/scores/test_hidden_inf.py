"""Scores that are -inf by themselves: what no mask shows is refused where it would matter."""

import math

import pytest
import torch
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import scores

from maskc import LoweringError, compile_mask
from maskc.analysis.scores.hidden_inf import hidden_inf
from maskc.ir.evaluate import evaluate
from maskc.ir.nodes import Expr
from maskc.ir.types import Given


@settings(max_examples=examples(200))
@given(data=st.data(), score=scores())
def test_a_score_without_a_hidden_infinity_is_finite(data: st.DataObject, score: Expr) -> None:
    case: Case = data.draw(environments(score))
    if hidden_inf(score) is None:
        for at in case.points():
            value = evaluate(score, at, case.env({Given.SCORE: 1.5}))
            assert value != -math.inf


@pytest.mark.parametrize(
    "score",
    [
        "softcap(where(score > 0, score, -inf), 3)",
        "clamp(where(score > 0, score, -inf), -9.0, 9.0)",
        "max(where(score > 0, score, -inf), score)",
        "-abs(where(score > 0, score, 1.0))",
        "where(score > -inf, score, 0.0)",
        "exp(-where(score > 0, score, inf))",
        "where(k <= q, score, -inf)",
        "-where(causal, -score, inf) - where(valid[k], 0.0, inf)",
    ],
)
@pytest.mark.parametrize("policy", ["all", "nan", "error"])
def test_scores_that_no_policy_minds(score: str, policy: str) -> None:
    assert compile_mask(f"score = {score}", empty_rows=policy).empty_rows == policy


@pytest.mark.parametrize(
    "score",
    [
        "where(score > 0, score, -inf)",
        "min(score, where(score > 0, 1.0, -inf)) + 2",
        "-max(score, where(score > 0, inf, 0.0))",
        "score - abs(where(score > 0, -inf, 0.0))",
        "clamp(score, -9.0, where(score > 0, 9.0, -inf))",
        "where(causal, score, -inf) * slopes[head]",
        "where(score > 0, score, inf) / slopes[head]",
    ],
)
@pytest.mark.parametrize("policy", ["all", "nan", "error"])
def test_scores_that_a_policy_cannot_see(score: str, policy: str) -> None:
    with pytest.raises(LoweringError, match="M512"):
        compile_mask(f"score = {score}", empty_rows=policy)
    assert compile_mask(f"score = {score}").empty_rows == "zero"


def test_the_refusal() -> None:
    with pytest.raises(LoweringError) as raised:
        compile_mask("causal; score = where(score > 0, score, -inf)", empty_rows="nan")
    assert str(raised.value) == (
        'error[M512]: `empty_rows="nan"` cannot tell whether a query has a key: '
        "that depends on its scores\n"
        " --> <mask>:1:41\n"
        "  1 | causal; score = where(score > 0, score, -inf)\n"
        "    |                                         ^^^^\n"
        '    = help: take `empty_rows="zero"`, or let positions and inputs choose the -inf'
    )


@pytest.mark.parametrize("policy", ["zero", "all", "nan"])
def test_one_mask_in_many_spellings(policy: str) -> None:
    """Rows that a score hides altogether are rows without a key, however it is written."""
    spellings = [
        "valid[q] & causal",
        "causal; score = where(valid[q], score, -inf)",
        "score = where(valid[q] & causal, score, -inf)",
        "causal; score = score - where(valid[q], 0.0, inf)",
        "causal; score = -where(valid[q], -score, inf)",
        "causal; score = min(score, where(valid[q], inf, -inf))",
    ]
    q, k, v = torch.randn(3, 1, 2, 6, 4)
    valid = torch.arange(6) % 3 != 1
    first, *others = (
        compile_mask(f"{text}; input valid: bool", empty_rows=policy) for text in spellings
    )
    expected = first(q, k, v, valid=valid, backend="reference")
    for other in others:
        assert other == first
        out = other(q, k, v, valid=valid, backend="reference")
        torch.testing.assert_close(out, expected, equal_nan=True)


def test_a_row_whose_scores_are_all_infinite_gives_zero() -> None:
    q, k, v = torch.randn(3, 1, 2, 6, 4)
    program = compile_mask("score = where(score > 100, score, -inf)")
    for backend in ("reference", "sdpa"):
        assert not program(q, k, v, backend=backend).any()
