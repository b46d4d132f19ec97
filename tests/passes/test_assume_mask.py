"""The score under the mask: the same attention, except where empty rows attend to every key."""

from unittest import mock

import pytest
import torch
from environments import Case, environments
from formula import attended, qkv_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from profiles import examples, find_fault
from strategies import Words, ints, masks
from test_driver import disagreement, read

from maskc import compile_mask, pipeline
from maskc.analysis.equiv.compare import Equal
from maskc.compiled import Recipe
from maskc.ir.evaluate import Point
from maskc.ir.nodes import OUT, SCORE, And, Arith, Expr, Module, Where
from maskc.ir.operators import ArithOp
from maskc.ir.text import to_text
from maskc.passes.program import assume_mask as law
from maskc.passes.program.assume_mask import assume_mask
from maskc.passes.support.driver import simplify
from maskc.passes.support.facts import facts
from maskc.pipeline import compile_recipe
from maskc.program import Program
from maskc.source import Source

SCALE = 0.4


@st.composite
def guarded(draw: DrawFn) -> Module:
    """Draw a mask and a score that asks again what the mask says."""
    words = Words()
    first, second = draw(masks(1, words)), draw(masks(1, words))
    term: Expr = draw(ints(2, words))
    bias = Where(draw(st.sampled_from([first, second])), term, draw(ints(1, words)))
    mask = draw(st.sampled_from([first, And((first, second))]))
    return Module(mask, Arith(ArithOp.ADD, SCORE, draw(st.sampled_from([bias, term]))), OUT)


@settings(max_examples=examples(150))
@given(data=st.data(), module=guarded())
def test_the_attention_is_the_same(data: st.DataObject, module: Module) -> None:
    assert change(data, module) is None


def change(data: st.DataObject, module: Module) -> tuple[Point, float] | None:
    """Return a point and a score of a drawn case where the law changes the attention."""
    after = assume_mask(module)
    if after is None:
        return None
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    return disagreement(module, after, case)


@given(guarded())
def test_a_score_inherits_once(module: Module) -> None:
    once = simplify(module).module
    assert simplify(once).module == once
    assert read(to_text(once)) == once


@pytest.mark.planted
def test_facts_of_the_opposite_are_caught() -> None:
    with mock.patch.object(law, "facts", lambda mask, _: facts(mask, False)):
        find_fault(st.tuples(st.data(), guarded()), lambda drawn: change(*drawn) is not None)


@settings(max_examples=examples(25))
@given(data=st.data(), module=guarded(), empty_rows=st.sampled_from(["zero", "all", "nan"]))
def test_every_policy_keeps_what_was_written(
    data: st.DataObject, module: Module, empty_rows: str
) -> None:
    case: Case = data.draw(environments(module))
    qkv, program = qkv_of(case), compile_mask(to_text(module), empty_rows=empty_rows)
    out = program(*qkv, backend="reference", scale=SCALE, **case.inputs)
    expected, _ = attended(module, case, qkv, SCALE, empty_rows)
    torch.testing.assert_close(out, expected, rtol=2e-4, atol=2e-4, equal_nan=True)


ALIBI = "input slope: float; q > 3 & causal; score = score - abs(q - k) * slope[head]"


def test_rows_that_see_every_key_keep_their_score() -> None:
    """The first rows attend to keys ahead of them, where the distance is the absolute one."""
    q, v, slope = torch.zeros(1, 2, 8, 4), torch.randn(1, 2, 8, 4), torch.tensor([1.0, 2.0])
    program = compile_mask(ALIBI, empty_rows="all")
    distance = (torch.arange(8)[:, None] - torch.arange(8)).abs()
    weights = (-distance * slope[:, None, None]).softmax(-1)
    out = program(q, q, v, backend="reference", slope=slope)
    torch.testing.assert_close(out[:, :, :4], (weights @ v)[:, :, :4])


def test_the_law_is_not_for_them() -> None:
    with mock.patch.object(pipeline, "simplify_at_every_pair", simplify):
        program = Program.of(compile_recipe(Recipe(Source(ALIBI), empty_rows="all")))
    patched = mock.patch(f"{__name__}.compile_mask", return_value=program)
    with patched, pytest.raises(AssertionError):
        test_rows_that_see_every_key_keep_their_score()


def test_both_ways_to_write_it_are_one_program() -> None:
    plain = compile_mask(ALIBI.replace("abs(q - k)", "(q - k)"))
    assert compile_mask(ALIBI) == plain
    assert compile_mask(ALIBI).digest == plain.digest
    assert compile_mask(ALIBI, empty_rows="all").equivalent(plain) == Equal()


def test_the_bias_needs_no_tensor() -> None:
    q, k, v = (torch.randn(1, 2, 9, 8, dtype=torch.float64) for _ in range(3))
    slope = torch.rand(2, dtype=torch.float64)
    program = compile_mask(ALIBI)
    folded = program(q, k, v, slope=slope, fold_bias=True)
    torch.testing.assert_close(folded, program(q, k, v, slope=slope, backend="reference"))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
@pytest.mark.parametrize(
    "bias",
    [
        "where(k < q, a[head] * log(float(where(k < q, q - k, 1))), 0.0)",
        "where(k < q, a[head] * log(float(max(q - k, 1))), 0.0)",
    ],
)
def test_what_keeps_a_gradient_finite_stays(bias: str, backend: str) -> None:
    """A kernel evaluates both sides of a choice, and 0 times the slope of one may be NaN."""
    a = torch.rand(2, dtype=torch.float64, requires_grad=True)
    q, k, v = (torch.randn(1, 2, 6, 4, dtype=torch.float64) for _ in range(3))
    program = compile_mask(f"input a: float; q >= 0 & k <= q + 1; score = score + {bias}")
    out = program(q, k, v, a=a, backend=backend)
    assert torch.autograd.grad(out.sum(), a)[0].isfinite().all()
