"""Scores that are lines, written in any way, become lines that read the score once."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from environments import Case, environments
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from profiles import find_fault
from test_driver import disagreement, read

from maskc.analysis.scores.score_class import Additive, General, Identity, Scaled, classify
from maskc.ir.evaluate import Point
from maskc.ir.nodes import SCORE, Arith, Call, Expr, FloatConst, IntConst, Module
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.text import expr_text
from maskc.passes.program import collect_score as door
from maskc.passes.program.collect_score import collect_score
from maskc.passes.support.driver import simplify
from maskc.program import compile_mask

INPUTS = "input f: float; input g: float; input a: float; input t: float; input n: int"
TERMS = ["f[q]", "g[k]", "a[head]", "f[q] + g[k]", "f[q] * g[k]", "t[q - k + 8]", "n * q", "n"]


def score_of(text: str) -> Expr:
    return read(f"{INPUTS}; score = {text}").score


ATOMS = [score_of(f"score + {text}").right for text in TERMS]  # type: ignore[union-attr]
ATOMS += [IntConst(3), FloatConst(0.5), FloatConst(-2.0)]


@st.composite
def lines(draw: DrawFn) -> Expr:
    """Draw a sum of lines, which reads the score a few times."""

    def line(depth: int) -> Expr:
        if depth == 0:
            return SCORE
        op, atom = draw(st.sampled_from(ArithOp)), draw(st.sampled_from(ATOMS))
        match op:
            case ArithOp.ADD | ArithOp.SUB if draw(st.booleans()):
                return Arith(op, line(depth - 1), line(depth - 1))
            case ArithOp.ADD | ArithOp.SUB:
                return Arith(op, atom, line(depth - 1))
            case ArithOp.MUL:
                return Arith(op, line(depth - 1), atom)
            case ArithOp.DIV:
                return Arith(op, line(depth - 1), FloatConst(4.0))
            case _:
                return Call(Fn.NEG, (line(depth - 1),))

    return line(draw(st.integers(1, 4)))


@given(data=st.data(), score=lines())
def test_a_line_keeps_its_meaning(data: st.DataObject, score: Expr) -> None:
    assert change(data, score) is None


def change(data: st.DataObject, score: Expr) -> tuple[Point, float] | None:
    """Return a point and a score of a drawn case where the law changes the new score."""
    module = Module(read("full").mask, score, read("full").out)
    found = collect_score(module)
    if found is None:
        return None
    case: Case = data.draw(environments(module))
    return disagreement(module, found, case, rounds=True)


@given(lines())
def test_a_line_reads_the_score_once_and_stays(score: Expr) -> None:
    module = Module(read("full").mask, score, read("full").out)
    found = collect_score(module)
    if found is not None:
        assert expr_text(found.score).count("score") == 1
        assert collect_score(found) is None


@pytest.mark.planted
def test_a_wrong_law_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that forgets the minus of what is taken away changes a value somewhere."""
    monkeypatch.setattr(door, "_SUMS", (ArithOp.SUB, ArithOp.ADD))
    find_fault(st.tuples(st.data(), lines()), lambda drawn: change(*drawn) is not None)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("score * 2 + score * 3", Scaled),
        ("(score + f[q]) * g[k] - score * a[q]", General),
        ("(score + f[q]) * g[k] - score * a[head]", Scaled),
        ("score - score * 0.5", Scaled),
        ("score * f[q] + score * f[q] * g[k]", Scaled),
        ("score * (1 + f[q] + g[k] + f[q] * g[k])", Scaled),
        ("score * 2 - score + f[q]", Additive),
        ("score * 2 - score", Identity),
        ("score * f[q] + score * g[k]", General),
        ("score * 1e38 * 1e38 + score", General),
        ("score / 1e-38 / 1e-38 + score", General),
        ("score / 1e-310 + score", General),
    ],
)
def test_classes(text: str, form: type) -> None:
    assert isinstance(classify(simplify(read(f"{INPUTS}; score = {text}")).module.score), form)


@pytest.mark.parametrize(
    "text", ["score * inf + score", "score / 0.0 + score", "score - inf - score"]
)
def test_what_is_no_finite_number_is_left_alone(text: str) -> None:
    assert collect_score(read(f"score = {text}")) is None


def test_a_large_score_is_left_alone() -> None:
    terms = " + ".join(f"score * f[q + {i}]" for i in range(20))
    assert collect_score(read(f"{INPUTS}; score = {terms}")) is None


def test_only_a_program_that_needs_it_loads_sympy() -> None:
    script = """
import sys, maskc
maskc.compile_mask("causal & window(512); score = softcap(score * 2, 30) + alibi")
assert "sympy" not in sys.modules
maskc.compile_mask("score = score * 2 + score")
assert "sympy" in sys.modules
"""
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)


def test_a_line_needs_no_mask_tensor() -> None:
    program = compile_mask("causal; input g: float; score = score * g[q] + score * g[q] * g[k]")
    q, k, v = (torch.randn(1, 2, 9, 8, dtype=torch.float64) for _ in range(3))
    bound = program.bind(q_len=9, num_heads=2, g=torch.rand(9, dtype=torch.float64))
    assert "no memory" in bound.explain(q, k, v)
    torch.testing.assert_close(
        bound(q, k, v, backend="sdpa"), bound(q, k, v, backend="reference"), rtol=1e-9, atol=1e-9
    )
