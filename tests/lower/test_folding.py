"""A bias folded into columns of q and k means what the reference says, and SDPA gets no bias."""

from typing import Any
from unittest import mock

import pytest
import torch
from environments import Case
from formula import qkv_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from profiles import examples
from separable import biases, inputs_of, program_of
from torch import Tensor

from maskc import LoweringError, Program, compile_mask
from maskc.lower import bias_columns as columns
from maskc.testing import diff

MASKS = ["full", "causal", "window(3)", "k <= q + 1 & k != 2", "k > q"]
SDPA = "scaled_dot_product_attention"


def run(program: Program, tensors: dict[str, Tensor], rest: dict[str, Any]) -> dict[str, Tensor]:
    """Return the output and the gradients of every float tensor."""
    leaves = {name: x.detach().clone().requires_grad_() for name, x in tensors.items()}
    out = program(**leaves, **rest)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss = (out * weight.to(out)).sum()
    slopes = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return {"out": out.detach(), **dict(zip(leaves, slopes, strict=True))}


def assert_folds(program: Program, case: Case, inputs: dict[str, Tensor], limit: float) -> None:
    """Compare the folded call with the reference in float64, in float64 and float32."""
    read = {declared.name for declared in program.inputs}
    inputs = {name: x for name, x in inputs.items() if name in read}
    exact = dict(zip("qkv", qkv_of(case), strict=True)) | inputs
    truth = run(program, exact, {"backend": "reference"})
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, limit)):
        found = run(program, {n: x.to(dtype) for n, x in exact.items()}, {"fold_bias": True})
        for name, expected in truth.items():
            error = (found[name].double() - expected).abs().max().item()
            assert error <= tolerance * (1 + expected.abs().max().item()), (name, dtype, error)


@settings(max_examples=examples(60))
@given(
    bias=biases(),
    mask=st.sampled_from(MASKS),
    sizes=st.sampled_from([(1, 1, 1, 1, 1), (2, 4, 2, 7, 13), (1, 3, 3, 11, 5), (2, 2, 1, 1, 17)]),
)
def test_folded_is_the_reference(bias: str, mask: str, sizes: tuple[int, ...]) -> None:
    case = Case(*sizes)
    # One key head cannot carry a factor for each of its query heads; that is refused.
    per_head = "table" if case.q_len == 1 else "table[head, 0"
    assume(case.num_heads == case.num_kv_heads or per_head not in bias)
    assert_folds(program_of(bias, mask), case, inputs_of(bias, case), 1e-4)


def folding_error(case: Case, slopes: Tensor) -> float:
    """Return the largest error of causal ALiBi in columns, over 256 rows spread over the keys."""
    rows = min(256, case.q_len)
    positions = torch.linspace(0, case.q_len - 1, rows).round().long()
    q, k, v = qkv_of(case, 64, dtype=torch.float32)
    report = diff(
        compile_mask("causal; score = score + alibi"),
        *(q[:, :, positions].contiguous(), k, v),
        backends="sdpa+columns",
        gradients=False,
        q_positions=positions,
        slopes=slopes,
    )
    error = report["sdpa+columns"].max_error
    assert error is not None
    return error


@pytest.mark.parametrize("length", [1, 67, 4096])
@pytest.mark.parametrize("heads", [(2, 2), (4, 1)])
def test_alibi_keeps_its_precision(length: int, heads: tuple[int, int]) -> None:
    """Folded in two plain columns it is wrong by 1e-4 at 4096 tokens."""
    case = Case(1, *heads, length, length)
    slopes = 1.1 * 2.0 ** -torch.arange(1.0, 1 + heads[0])
    assert folding_error(case, slopes) < 1.5e-5


def test_the_error_tells_of_lost_precision() -> None:
    case = Case(1, 2, 2, 4096, 4096)
    with mock.patch.object(columns, "_parts", lambda x, *_: [x]):
        assert folding_error(case, torch.tensor([0.55, 0.275])) > 2e-5


@pytest.mark.parametrize("sizes", [(1, 2, 2, 35, 35), (2, 4, 2, 35, 35)])
def test_relative_positions_on_a_grid(sizes: tuple[int, ...]) -> None:
    case = Case(*sizes)
    random = torch.Generator().manual_seed(3)
    shape = case.batch_size, case.num_heads, case.q_len
    tables = {
        f"rel_{axis}": torch.randn(*shape, size, generator=random, dtype=torch.float64)
        for axis, size in (("h", 5), ("w", 7))
    }
    program = compile_mask("axis h = 5, w = 7; score = score + relpos(h, w)")
    assert_folds(program, case, tables, 2e-5)


def test_tables_fold_in_half_precision() -> None:
    case = Case(1, 2, 2, 35, 35)
    program = compile_mask("axis h = 5, w = 7; score = score + relpos(h, w)")
    tables = {"rel_h": torch.randn(1, 2, 35, 5), "rel_w": torch.randn(1, 2, 35, 7)}
    short = [x.bfloat16() for x in qkv_of(case, 16)]
    out = program(*short, fold_bias=True, **tables)
    truth = program(*(x.double() for x in short), backend="reference", **tables)
    torch.testing.assert_close(out.double(), truth, rtol=0, atol=3e-2)


def spied(program: Program, case: Case, **keywords: Any) -> dict[str, Any]:
    """Return what SDPA was called with."""
    qkv = qkv_of(case, 16, dtype=torch.float32)
    call = torch.nn.functional.scaled_dot_product_attention
    with mock.patch.object(torch.nn.functional, SDPA, side_effect=call) as spy:
        program(*qkv, **keywords)
    (q, k, v), named = spy.call_args
    return {"q": q, "k": k, "v": v, **named}


def test_sdpa_gets_no_bias() -> None:
    program = compile_mask("causal; score = 2 * score + alibi")
    passed = spied(program, Case(1, 4, 2, 9, 9), slopes=torch.ones(4), fold_bias=True)
    assert passed["attn_mask"] is None
    assert passed["is_causal"] is True
    assert passed["scale"] == 1.0
    assert passed["q"].shape[-1] == passed["k"].shape[-1] == passed["v"].shape[-1] == 24


def test_any_other_mask_stays_boolean() -> None:
    program = compile_mask("window(3); score = score + alibi")
    passed = spied(program, Case(2, 2, 2, 9, 9), slopes=torch.ones(2), fold_bias=True)
    assert passed["attn_mask"].dtype is torch.bool
    assert passed["attn_mask"].shape == (1, 1, 9, 9)
    assert not passed["is_causal"]


def test_a_score_without_a_bias_runs_as_it_is() -> None:
    passed = spied(compile_mask("causal; score = 2 * score"), Case(1, 2, 2, 5, 5), fold_bias=True)
    assert passed["q"].shape[-1] == 16


REFUSED = {
    "score = softcap(score, 3)": "more than a bias",
    "score = score + alibi_symmetric": "no finite sum",
    "input t: float; score = score + t[head, k]": "differs by head",
    "input t: float; score = score + log(t[0, k])": "not finite",
    "input t: float; score = score + log(t[head, 0]) * k": "not finite",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text: str) -> None:
    program, case = compile_mask(text), Case(1, 4, 2, 5, 5)
    given = {"t": torch.zeros(4, 5), "slopes": torch.ones(4)}
    inputs = {declared.name: given[declared.name] for declared in program.inputs}
    with pytest.raises(LoweringError, match=r"M510") as caught:
        program(*qkv_of(case), **inputs, fold_bias=True)
    assert REFUSED[text] in str(caught.value)
    assert "leave out `fold_bias`" in str(caught.value)


def test_a_table_that_is_too_wide_is_refused() -> None:
    qkv = qkv_of(Case(1, 1, 1, 2, 700), dtype=torch.float32)
    program = compile_mask("input t: float; score = score + t[q, k % 600]")
    with pytest.raises(LoweringError, match="takes 600 columns, expected at most 512"):
        program(*qkv, t=torch.zeros(2, 600), fold_bias=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_positions_in_half_precision_are_refused(dtype: torch.dtype) -> None:
    qkv = qkv_of(Case(1, 2, 2, 5, 5), dtype=dtype)
    with pytest.raises(LoweringError, match="positions and other factors lose too much"):
        compile_mask("score = score + alibi")(*qkv, slopes=torch.ones(2), fold_bias=True)


@pytest.mark.parametrize("backend", ["flex", "reference"])
def test_other_backends_have_no_folding(backend: str) -> None:
    qkv = qkv_of(Case(1, 1, 1, 4, 4), dtype=torch.float32)
    with pytest.raises(LoweringError, match="M511"):
        compile_mask("causal")(*qkv, backend=backend, fold_bias=True)


def test_the_log_sum_exp_is_that_of_the_bias() -> None:
    case = Case(1, 2, 1, 6, 6)
    program, slopes = compile_mask("causal; score = score + alibi"), torch.tensor([0.5, 0.25])
    out, lse = program(*qkv_of(case), slopes=slopes, fold_bias=True, return_lse=True)
    truth, exact = program(
        *qkv_of(case), slopes=slopes.double(), backend="reference", return_lse=True
    )
    torch.testing.assert_close(lse, exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(out, truth, rtol=1e-6, atol=1e-6)


@pytest.mark.compiled
def test_folding_is_traced_whole() -> None:
    case = Case(1, 2, 2, 12, 12)
    program = compile_mask("axis h = 3, w = 4; causal; score = score + relpos(h, w)")
    bound = program.bind(**case.sizes)
    tables = {"rel_h": torch.randn(1, 2, 12, 3), "rel_w": torch.randn(1, 2, 12, 4)}

    def step(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return bound(q, k, v, fold_bias=True, **tables)

    qkv = qkv_of(case, dtype=torch.float32)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*qkv), step(*qkv))


def test_a_query_factor_that_is_infinite_without_keys_leaves_the_row_at_zero() -> None:
    program = compile_mask("input g: float; k < q; score = score / g[q]")
    g = torch.tensor([0.0, 1.0, 2.0, 1.0, 3.0])
    q = torch.randn(1, 1, 5, 8)
    expected = program(q, q, q, g=g, backend="reference")
    assert torch.equal(expected[0, 0, 0], torch.zeros(8))
    torch.testing.assert_close(program(q, q, q, g=g, backend="sdpa"), expected)
