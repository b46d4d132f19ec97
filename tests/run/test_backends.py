"""The table of backends: one entry is enough to run, refuse, explain and compare."""

import dataclasses

import pytest
import torch

from maskc import BindError, LoweringError, compile_mask
from maskc.lower import reference
from maskc.lower.attention_call import Attended, AttentionCall, Refusal
from maskc.lower.plan import Plan
from maskc.run.backends import BACKENDS, COMPARED, Backend
from maskc.testing import diff

ALIBI = "causal; score = score + alibi"
SLOPES = {"slopes": torch.tensor([0.5, 0.25])}


def qkv(length: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(length)
    return tuple(torch.randn(1, 2, length, 8, generator=random) for _ in range(3))


def refuses_odd(plan: Plan, call: AttentionCall) -> Refusal | None:
    return Refusal("M599", "an odd length", "use the reference") if call.q.shape[2] % 2 else None


def run_wrong(plan: Plan, call: AttentionCall) -> Attended:
    out, lse = reference.run(plan, call)
    return Attended(out + 0.5, lse)


def explain_length(plan: Plan | None, call: AttentionCall) -> list[str]:
    return [f"{call.q.shape[2]} rows"]


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a backend that is off by a half."""
    monkeypatch.setitem(BACKENDS, "other", Backend(refuses_odd, run_wrong, explain_length))


@pytest.mark.usefixtures("another")
def test_one_entry_runs_refuses_explains_and_is_compared() -> None:
    program, tensors = compile_mask("causal"), qkv(6)
    bound = program.bind(q_len=6, num_heads=2)
    expected = bound(*tensors, backend="reference") + 0.5
    torch.testing.assert_close(bound(*tensors, backend="other"), expected)
    assert "other        6 rows" in bound.explain().splitlines()
    report = diff(program, *tensors, backends=["other", "sdpa"], gradients=False)
    assert report["other"].max_error == pytest.approx(0.5, abs=1e-5)
    assert report["sdpa"].max_error < 1e-5
    with pytest.raises(LoweringError, match=r"M599.*an odd length"):
        program(*qkv(5), backend="other")
    assert "an odd length" in diff(program, *qkv(5), backends="other")["other"].refused
    with pytest.raises(BindError, match="did you mean `other`"):
        program(*tensors, backend="othr")


def test_without_the_entry_there_is_no_such_backend() -> None:
    with pytest.raises(BindError, match=r"M420"):
        compile_mask("causal")(*qkv(6), backend="other")


def test_fold_bias_asks_for_the_form_with_columns() -> None:
    program, tensors = compile_mask(ALIBI), qkv(7)
    named = program(*tensors, backend="sdpa+columns", **SLOPES)
    assert torch.equal(named, program(*tensors, fold_bias=True, **SLOPES))
    assert torch.equal(named, program(*tensors, backend="sdpa", fold_bias=True, **SLOPES))
    assert "sdpa+columns" not in COMPARED
    report = diff(program, *tensors, backends="sdpa+columns", **SLOPES)
    assert report["sdpa+columns"].max_error < 1e-5
    refused = diff(compile_mask("score = softcap(score, 3)"), *tensors, backends="sdpa+columns")
    assert "more than a bias" in refused["sdpa+columns"].refused


def test_a_state_is_one_object_and_is_replaced_whole() -> None:
    doc = torch.zeros(6, dtype=torch.int64)
    for policy in ("zero", "all"):
        bound = compile_mask("k < q & same_doc", empty_rows=policy).bind(q_len=6, doc=doc)
        before = bound._current
        assert bound._current is before
        doc[3:] += 1
        after = bound._current
        assert after is not before
        fresh = bound.program.bind(q_len=6, doc=doc.clone())
        assert torch.equal(bound.empty_rows, fresh.empty_rows)
        assert torch.equal(bound.dense_mask(), fresh.dense_mask())
        with pytest.raises(dataclasses.FrozenInstanceError):
            after.mask = before.mask
