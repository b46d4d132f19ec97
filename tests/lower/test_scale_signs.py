"""Scales of 0 or less, with which torch's ``is_causal`` gives NaN or a wrong answer."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from maskc import compile_mask

SCALES = [None, 0.7, 0.0, -0.5]
FACTORS = {"causal": 1.0, "causal; score = score * 0.0": 0.0, "causal; score = score * 2.0": 2.0}
FACTORS["causal; score = -score"] = -1.0


def qkv(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, 1, 2, 40, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    return q, k, v


def expected(scale: float | None, factor: float) -> Tensor:
    q, k, v = qkv(torch.float64)
    scores = q @ k.transpose(-1, -2) * (8**-0.5 if scale is None else scale) * factor
    return scores.masked_fill(torch.ones(40, 40).triu(1).bool(), -torch.inf).softmax(-1) @ v


def ways(text: str, dtype: torch.dtype, scale: float | None) -> dict[str, Tensor]:
    q, k, v = qkv(dtype)
    program = compile_mask(text)
    bound = program.bind_to(q, k)
    module: dict[str, Any] = {}
    exec(program.emit("module"), module)
    backends = ("auto", "sdpa", "reference")
    return {
        **{name: bound(q, k, v, backend=name, scale=scale) for name in backends},
        "sdpa_args": scaled_dot_product_attention(q, k, v, **bound.sdpa_args(q, k, scale=scale)),
        "emitted": module["attention"](q, k, v, scale=scale),
    }


@pytest.mark.parametrize("text", FACTORS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_way_gives_the_formula(text: str, scale: float | None, dtype: torch.dtype) -> None:
    tolerance = 0.04 if dtype is torch.bfloat16 else 1e-5
    for name, found in ways(text, dtype, scale).items():
        torch.testing.assert_close(
            found.double(),
            expected(scale, FACTORS[text]),
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_a_positive_scale_needs_no_mask() -> None:
    q, k, _ = qkv(torch.float32)
    bound = compile_mask("causal; score = score * 2.0").bind_to(q, k)
    assert bound.sdpa_args(q, k, scale=0.5)["attn_mask"] is None
    assert bound.sdpa_args(q, k, scale=-0.5)["is_causal"] is False
