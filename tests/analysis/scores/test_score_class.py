"""The class of a score tells the truth about it."""

import math

import pytest
from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import scores

from maskc.analysis.scores.score_class import (
    Additive,
    General,
    Identity,
    Scaled,
    ScoreClass,
    classify,
)
from maskc.elaborate.module import elaborate
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Expr
from maskc.ir.text import expr_text
from maskc.ir.types import Given
from maskc.source import Source
from maskc.syntax.parse import parse

INPUTS = "; ".join(
    ["input g: float", "input a: float", "input c: float", "input w: float", "input t: float"]
)


def score_of(text: str) -> Expr:
    tree, _ = parse(Source(f"{INPUTS}; score = {text}"))
    elaborated, errors = elaborate(tree, {})
    assert errors == []
    return elaborated.module.score


def told(found: ScoreClass) -> str:
    match found:
        case Identity():
            return "identity"
        case Additive(bias):
            return f"additive {expr_text(bias)}"
        case Scaled(constant, head, query, key, bias):
            parts = [str(constant), *(expr_text(part) for part in (head, query, key))]
            return " | ".join(parts) + ("" if bias is None else f" + {expr_text(bias)}")
        case General(_, overflows):
            return "overflows" if overflows else "general"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("score", "identity"),
        ("score + a[q]", "additive a[q]"),
        ("a[q] + (score - c[k])", "additive -c[k] + a[q]"),
        ("score * 2", "2.0 | 1.0 | 1.0 | 1.0"),
        ("score / 4 * g[head]", "0.25 | g[head] | 1.0 | 1.0"),
        ("score * (a[q] * c[k])", "1.0 | 1.0 | a[q] | c[k]"),
        ("score / t[head]", "1.0 | 1.0 / t[head] | 1.0 | 1.0"),
        ("-(score + a[q]) * 0.5", "-0.5 | 1.0 | 1.0 | 1.0 + a[q] * -1.0 * 0.5"),
        ("a[q] - score", "-1.0 | 1.0 | 1.0 | 1.0 + a[q]"),
        ("score * w[q, k]", "general"),
        ("softcap(score, 30)", "general"),
        ("clamp(score, -5, 5)", "general"),
        ("where(k <= q, score, score * 2)", "general"),
        ("exp(score)", "overflows"),
        ("score * score", "overflows"),
        ("1 / score", "overflows"),
        ("a[q] * 2", "general"),
    ],
)
def test_scores_are_classified(text: str, expected: str) -> None:
    assert told(classify(score_of(text))) == expected


def value_of(found: ScoreClass, at: Point, env: Env) -> float | None:
    """Return what the class says the score is, None where it says nothing."""
    score = env.given[Given.SCORE]
    match found:
        case Identity():
            return score
        case Additive(bias):
            return score + evaluate(bias, at, env)
        case Scaled(constant, head, query, key, bias):
            factors = [evaluate(part, at, env) for part in (head, query, key)]
            added = 0.0 if bias is None else evaluate(bias, at, env)
            return score * constant * math.prod(factors) + added
        case General():
            return None


@given(data=st.data(), score=scores())
def test_the_class_means_the_score(data: st.DataObject, score: Expr) -> None:
    found = classify(score)
    case: Case = data.draw(environments(score))
    for at in list(case.points())[:40]:
        env = case.env({Given.SCORE: 1.75})
        claimed, exact = value_of(found, at, env), evaluate(score, at, env)
        if claimed is not None and math.isfinite(exact):
            assert claimed == pytest.approx(exact, rel=1e-9, abs=1e-9)
