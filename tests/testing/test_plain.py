"""The yardstick is the same attention, and its error is that of rounding."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from environments import Case, environments
from formula import qkv_of
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules

from maskc import compile_mask
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.testing import diff, random_inputs, random_qkv
from maskc.testing.call import Call
from maskc.testing.plain import plain_sdpa

SIZES = {"batch_size": 1, "num_heads": 2, "num_kv_heads": 1, "q_len": 9, "kv_len": 9}
TEXT = "causal & same_doc; score = softcap(score, 5) + alibi"


def call_of(case: Case, program: Any, qkv: Any) -> Call:
    positions = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    given = {name: table for name, table in positions.items() if table is not None}
    tensors = dict(zip("qkv", qkv, strict=True))
    return Call(program, tensors, {**case.inputs, **given}, 0.4)


@settings(max_examples=examples(40))
@given(
    data=st.data(),
    module=modules(depth=2),
    empty_rows=st.sampled_from(["zero", "all", "nan"]),
)
def test_in_float64_it_is_the_reference(
    data: st.DataObject, module: Module, empty_rows: str
) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    program = compile_mask(to_text(module), empty_rows=empty_rows)
    call = call_of(case, program, qkv_of(case)).in_float64()
    gradients = empty_rows != "nan"
    truth = call.outcome("reference", gradients)
    found, same = plain_sdpa(call, truth, gradients)
    assert same is truth
    close = {"rtol": 1e-6, "atol": 1e-6, "equal_nan": True}
    torch.testing.assert_close(found.out, truth.out, **close)
    assert found.gradients.keys() == truth.gradients.keys()
    for name, slope in found.gradients.items():
        scale = 1 + float(truth.gradients[name].abs().max())
        torch.testing.assert_close(slope / scale, truth.gradients[name] / scale, **close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_program_it_is_sdpa_to_the_bit(dtype: torch.dtype) -> None:
    q, k, v = (x.to(dtype) for x in qkv_of(Case(2, 4, 2, 7, 5)))
    call = Call(compile_mask("full"), {"q": q, "k": k, "v": v}, {}, None)
    found, exact = plain_sdpa(call, call.in_float64().outcome("reference", False), False)
    plain = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    assert found.out.equal(plain)
    finer = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), enable_gqa=True)
    torch.testing.assert_close(exact.out, finer, rtol=1e-12, atol=1e-12)


def test_a_mask_in_half_precision_is_no_error_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On CUDA a float mask has q's dtype; the bias below would then be off by up to 1."""
    q, k, v = (x.bfloat16() for x in qkv_of(Case(1, 2, 2, 40, 40)))
    program = compile_mask("score = score + bias[k]; input bias: float")
    bias = 300 + torch.randn(40, generator=torch.Generator().manual_seed(0))
    single = diff(program, q, k, v, backends="reference", bias=bias).plain
    monkeypatch.setattr("maskc.testing.plain.mask_dtype", lambda q: q.dtype)
    half = diff(program, q, k, v, backends="reference", bias=bias).plain
    assert half.max_error < 3 * single.max_error < 0.1
    assert half.gradients["v"] < 3 * single.gradients["v"] < 0.5


def test_its_error_grows_with_the_dtype() -> None:
    program, generator = compile_mask(TEXT), torch.Generator().manual_seed(0)
    inputs = random_inputs(program, SIZES, generator)
    qkv = random_qkv(SIZES, 8, "float32", generator)
    sizes = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        report = diff(program, *(x.to(dtype) for x in qkv), backends="sdpa", **inputs)
        sizes[dtype] = report.plain.max_error
        assert report.plain.errors.keys() == report["sdpa"].errors.keys()
        assert 0.2 < report.ratio("sdpa") < 5
        assert 0.2 < report.ratio("sdpa", "slopes") < 5
    assert 1e-8 < sizes[torch.float32] < 1e-5 < sizes[torch.float16] < sizes[torch.bfloat16] < 0.1


def test_a_wrong_lowering_does_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    program, generator = compile_mask(TEXT), torch.Generator().manual_seed(0)
    inputs = random_inputs(program, SIZES, generator)
    qkv = random_qkv(SIZES, 8, "float32", generator)
    right = diff(program, *qkv, backends="sdpa", **inputs)
    with monkeypatch.context() as patch:
        patch.setattr("maskc.lower.sdpa.attn_mask", lambda *_: None)
        wrong = diff(program, *qkv, backends="sdpa", **inputs)
    assert wrong["sdpa"].max_error > 0.1
    assert wrong.plain == right.plain
