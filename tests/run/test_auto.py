"""What ``auto`` takes, and that it means the same."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from maskc import compile_mask
from maskc.lower import bias_columns as columns

SLOPES = {"slopes": torch.tensor([0.5, 0.25])}
ALIBI = "causal; score = score + alibi"


def qkv(length: int, dtype: torch.dtype = torch.float32, heads: int = 2) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    shapes = ((1, 2, length, 8), (1, heads, length, 8), (1, heads, length, 8))
    return tuple(torch.randn(shape, generator=random).to(dtype) for shape in shapes)


def bound(text: str, length: int, heads: int = 2, **inputs: Any) -> Any:
    return compile_mask(text).bind(q_len=length, num_heads=2, num_kv_heads=heads, **inputs)


@pytest.mark.parametrize(
    ("text", "inputs", "folded"),
    [
        (ALIBI, SLOPES, True),
        ("causal; score = 2 * score + alibi", SLOPES, True),
        ("score = score + alibi", SLOPES, False),
        ("causal & window(3); score = score + alibi", SLOPES, False),
        ("causal; score = score - abs(q - k)", {}, True),
        ("score = score - abs(q - k)", {}, False),
        ("causal; score = score + log(float(k + 1))", {}, False),
        (ALIBI, {"slopes": torch.tensor([0.5, torch.inf])}, False),
        ("causal; score = softcap(score, 3) + alibi", SLOPES, False),
    ],
)
@pytest.mark.parametrize("gradient", [False, True])
def test_a_narrow_bias_is_folded(
    text: str, inputs: dict[str, Any], folded: bool, gradient: bool
) -> None:
    call = bound(text, 40, **inputs)
    q, k, v = qkv(40)
    q.requires_grad_(gradient)
    with mock.patch.object(columns, "MANY_PAIRS", 2 * 40 * 40):
        assert call.choice(q, k, v).fold_bias is folded
        found = call(q, k, v)
    expected = call(q, k, v, backend="reference")
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_a_small_or_a_short_call_is_not_folded() -> None:
    q, k, v = qkv(40)
    assert not bound(ALIBI, 40, **SLOPES).choice(q, k, v).fold_bias
    with mock.patch.object(columns, "MANY_PAIRS", 2 * 40 * 40):
        half = qkv(40, torch.bfloat16)
        assert not bound(ALIBI, 40, **SLOPES).choice(*half).fold_bias
        assert not bound(ALIBI, 39, **SLOPES).choice(*qkv(39)).fold_bias


def test_a_key_head_of_several_queries_carries_no_bias_of_each() -> None:
    text = "input g: float; causal; score = score + g[head, k]"
    q, k, v = qkv(40, heads=1)
    call = bound(text, 40, heads=1, g=torch.randn(2, 40))
    with mock.patch.object(columns, "MANY_PAIRS", 1):
        assert not call.choice(q, k, v).fold_bias
        torch.testing.assert_close(call(q, k, v), call(q, k, v, backend="reference"))


@pytest.mark.parametrize(
    ("text", "length", "backend"),
    [
        ("causal", 9, "sdpa"),
        ("causal", 2**11, "sdpa"),
        ("window(2)", 9, "sdpa"),
        ("window(2)", 2**11, "banded"),
        ("causal & k != q - 7", 2**11, "banded"),
        ("k != q", 2**11, "sdpa"),
        ("k != q", 2**13 + 1, "flex"),
        ("score = softcap(score, 3)", 9, "sdpa"),
        ("score = softcap(score, 3)", 2**11, "banded"),
        ("causal; out = out * sigmoid(lse)", 2**11, "banded"),
        ("causal; out = 2 * out", 2**11, "sdpa"),
    ],
)
def test_backends(text: str, length: int, backend: str) -> None:
    call, tensors = bound(text, length), [x.expand(1, 2, length, 8) for x in qkv(1)]
    choice = call.choice(*tensors)
    assert choice.backend == backend
    assert f"auto         {backend}: {choice.reason}" in call.explain(*tensors)


def test_a_gradient_and_dropout_run_on_bands() -> None:
    call, (q, k, v) = bound("window(2)", 2**11), qkv(2**11)
    assert call.choice(q.requires_grad_(), k, v).backend == "banded"
    with mock.patch.object(torch.nn.functional, "scaled_dot_product_attention") as spy:
        spy.side_effect = lambda q, k, v, **options: q
        call(q, k, v, dropout_p=0.5)
    assert len(spy.call_args_list) == 8
    assert all(call.kwargs["dropout_p"] == 0.5 for call in spy.call_args_list)
