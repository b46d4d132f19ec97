"""Outputs and gradients recorded from the systems that this project serves, on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from maskc import Bound, compile_mask

RECORDED: list[dict[str, Any]] = torch.load(
    Path(__file__).parent / "data" / "seed_cases.pt", weights_only=True
)
GRADIENTS = [case for case in RECORDED if "out_weight" in case]
BACKENDS = ("reference", "sdpa", "flex", "auto")


def name_of(case: dict[str, Any]) -> str:
    return case["name"]


def bound_of(case: dict[str, Any], **inputs: Tensor) -> Bound:
    program = compile_mask(case["text"], empty_rows=case["empty_rows"], **case["constants"])
    (batch, heads, q_len, _), (_, kv_heads, kv_len, _) = case["q"].shape, case["k"].shape
    return program.bind(
        batch_size=batch,
        num_heads=heads,
        num_kv_heads=kv_heads,
        q_len=q_len,
        kv_len=kv_len,
        **{**case["inputs"], **inputs},
    )


def qkv_of(case: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    return case["q"], case["k"], case["v"]


@pytest.mark.parametrize("case", RECORDED, ids=name_of)
@pytest.mark.parametrize("backend", ["reference", "sdpa", "auto"])
def test_outputs(case: dict[str, Any], backend: str) -> None:
    out = bound_of(case)(*qkv_of(case), backend=backend, scale=case["scale"])
    torch.testing.assert_close(out, case["out"], rtol=0, atol=case["atol"])


@pytest.mark.parametrize("case", RECORDED, ids=name_of)
def test_outputs_of_flex(case: dict[str, Any]) -> None:
    """Run eagerly: what is compiled is tested elsewhere, and takes seconds a program."""
    args = bound_of(case).flex_args()
    out = flex_attention(*qkv_of(case), scale=case["scale"], **args)
    torch.testing.assert_close(out, case["out"], rtol=0, atol=case["atol"])


@pytest.mark.parametrize("case", GRADIENTS, ids=name_of)
@pytest.mark.parametrize("backend", ["reference", "sdpa", "auto"])
def test_gradients(case: dict[str, Any], backend: str) -> None:
    leaves = {n: x.clone().requires_grad_() for n, x in zip("qkv", qkv_of(case), strict=True)}
    if "dbias" in case:
        leaves["bias"] = case["inputs"]["bias"].clone().requires_grad_()
    inputs = {name: leaf for name, leaf in leaves.items() if name not in "qkv"}
    qkv = (leaves[name] for name in "qkv")
    out = bound_of(case, **inputs)(*qkv, backend=backend, scale=case["scale"])
    found = torch.autograd.grad((out * case["out_weight"]).sum(), list(leaves.values()))
    for name, slope in zip(leaves, found, strict=True):
        torch.testing.assert_close(
            slope.double(), case[f"d{name}"].double(), rtol=0, atol=case["atol"]
        )


FORMS = {
    "none": (None, False),
    "is_causal": (None, True),
    "bool": (torch.bool, False),
    "float": (torch.float32, False),
}


@pytest.mark.parametrize("case", [c for c in RECORDED if c["sdpa"]], ids=name_of)
def test_how_sdpa_is_called(case: dict[str, Any]) -> None:
    bound, real = bound_of(case), F.scaled_dot_product_attention
    with mock.patch.object(F, "scaled_dot_product_attention", side_effect=real) as spy:
        bound(*qkv_of(case), backend="sdpa", scale=case["scale"])
    (call,) = spy.call_args_list
    for keywords in (call.kwargs, bound.sdpa_args(), bound.sdpa_args(case["q"], case["k"])):
        mask = keywords["attn_mask"]
        form = (None if mask is None else mask.dtype, keywords["is_causal"])
        assert form == FORMS[case["sdpa"]]


def test_there_are_cases_of_every_form() -> None:
    assert {case["sdpa"] for case in RECORDED} >= set(FORMS)
    assert len(RECORDED) >= 14
    assert len(GRADIENTS) >= 4
