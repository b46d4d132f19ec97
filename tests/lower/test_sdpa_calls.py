"""What each class of program passes to SDPA: the keywords, the dtypes and the smallest shapes."""

import math
from typing import Any
from unittest import mock

import pytest
import torch
from environments import Case
from formula import qkv_of
from torch import Tensor

from maskc import compile_mask

B, H, KV, Q, K, D = 2, 4, 2, 5, 7, 8
CASE = Case(B, H, KV, Q, K)


def passed(text: str, case: Case = CASE, scale: float | None = None, **inputs: Tensor) -> Any:
    """Return what SDPA was called with, once, for a program."""
    qkv = qkv_of(case, D, dtype=torch.float32)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    patched = mock.patch.object(
        torch.nn.functional, "scaled_dot_product_attention", side_effect=sdpa
    )
    with patched as spy:
        compile_mask(text)(*qkv, backend="sdpa", scale=scale, **inputs)
    (call,) = spy.call_args_list
    q, k, v = call.args
    return {"q": q, "k": k, "v": v, **call.kwargs}


def is_asked_as_it_is(call: dict[str, Any]) -> bool:
    """Tell whether q, k and v were passed as they came, but for keys that no query sees."""
    q, k, v = qkv_of(CASE, D, dtype=torch.float32)
    return torch.equal(call["q"], q) and is_seen(call["k"], k) and is_seen(call["v"], v)


def is_seen(passed: Tensor, given: Tensor) -> bool:
    """Tell whether keys or values are those given, or all 0 from some row on."""
    zeros = (passed == 0).all(dim=-1, keepdim=True)
    return bool(((passed == given) | zeros).all()) and not bool(zeros.all())


NOTHING = ["full", "k <= q | k > q", "full; score = score + 0"]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_to_do(text: str) -> None:
    call = passed(text)
    assert call["attn_mask"] is None
    assert call["is_causal"] is False
    assert call["enable_gqa"] is True
    assert is_asked_as_it_is(call)


CAUSAL = [
    "causal",
    "q >= k",
    "!(k > q)",
    "0 <= q - k",
    "score = where(causal, score, -inf)",
    "causal; score = where(k <= q, score, -inf)",
    "score = where(k > q, -inf, score)",
    "score = score + where(causal, 0.0, -inf)",
]


@pytest.mark.parametrize("text", CAUSAL)
def test_exactly_causal(text: str) -> None:
    call = passed(text)
    assert call["attn_mask"] is None
    assert call["is_causal"] is True
    assert is_asked_as_it_is(call)


def test_causal_with_an_offset_is_no_is_causal() -> None:
    qkv = qkv_of(CASE, D, dtype=torch.float32)
    args = compile_mask("causal").bind(**CASE.sizes, q_offset=2).sdpa_args(*qkv[:2])
    assert args["is_causal"] is False
    expected = torch.arange(K) <= torch.arange(Q)[:, None] + 2
    assert torch.equal(args["attn_mask"].expand(1, 1, Q, K)[0, 0], expected)


MASKS: dict[str, tuple[int, ...]] = {
    "window(3)": (1, 1, Q, K),
    "causal & window(3)": (1, 1, Q, K),
    "k < 3": (1, 1, 1, K),
    "q < 3": (1, 1, Q, 1),
    "q < 3 & k < 5": (1, 1, Q, K),
    "prefix": (B, 1, 1, K),
    "prefix | causal": (B, 1, Q, K),
    "k < widths[head]": (1, H, 1, K),
    "input valid: bool; valid[k]": (1, 1, 1, K),
    "input pairs: bool; pairs[batch, head, k]": (B, H, 1, K),
    "score = where(k < 3, score, -inf)": (1, 1, 1, K),
    "score = min(score, where(k < 3, inf, -inf))": (1, 1, 1, K),
}
GIVEN = {
    "prefix_len": torch.tensor([2, 4]),
    "widths": torch.tensor([1, 2, 3, 9]),
    "valid": torch.arange(K) != 2,
    "pairs": torch.arange(B * H * K).view(B, H, K) % 3 != 0,
    "bias": torch.linspace(-1, 1, B * H * K).view(B, H, K),
    "whole": torch.linspace(-1, 1, B * H * Q * K).view(B, H, Q, K),
    "slopes": torch.tensor([0.5, 0.25, 0.125, 0.0625]),
    "along": torch.linspace(0.5, 1.5, K),
    "across": torch.linspace(0.5, 1.5, Q),
}


def declared(text: str) -> tuple[str, dict[str, Tensor]]:
    """Return a text that declares what it reads, and the tensors."""
    if "widths" in text:
        text = f"input widths: int; {text}"
    names = {read.name for read in compile_mask(text).inputs}
    return text, {name: GIVEN[name] for name in names}


@pytest.mark.parametrize("text", MASKS)
def test_any_other_mask_is_boolean_and_small(text: str) -> None:
    source, inputs = declared(text)
    call = passed(source, **inputs)
    assert call["attn_mask"].dtype is torch.bool
    assert call["attn_mask"].shape == MASKS[text]
    assert call["is_causal"] is False
    assert is_asked_as_it_is(call)


BIASES: dict[str, tuple[int, ...]] = {
    "input bias: float; score = score + bias[batch, head, k]": (B, H, 1, K),
    "input along: float; score = score - along[k]": (1, 1, 1, K),
    "input whole: float; score = score + whole[batch, head, q, k]": (B, H, Q, K),
    "score = score + alibi": (1, H, Q, K),
    "causal; score = score + alibi": (1, H, Q, K),
    "k < 5; input bias: float; score = score + bias[batch, head, k]": (B, H, 1, K),
    "causal; input bias: float; score = score + bias[batch, head, k]": (B, H, Q, K),
    "score = score + 0.1 * k": (1, 1, 1, K),
}


@pytest.mark.parametrize("text", BIASES)
def test_a_bias_is_one_small_float_mask(text: str) -> None:
    source, inputs = declared(text)
    call = passed(source, **inputs)
    assert call["attn_mask"].dtype is torch.float32
    assert call["attn_mask"].shape == BIASES[text]
    assert call["is_causal"] is False
    assert is_asked_as_it_is(call)
    masks = "causal" in text or "k <" in text
    assert bool((call["attn_mask"] == -math.inf).any()) == masks
    assert bool((call["attn_mask"] > torch.finfo(torch.float32).min).any())


def test_minus_infinity_stands_where_the_mask_is_false() -> None:
    mask = passed("causal; score = score + alibi", slopes=GIVEN["slopes"])["attn_mask"]
    hidden = torch.arange(K) > torch.arange(Q)[:, None]
    assert torch.equal(mask == -math.inf, hidden.expand(1, H, Q, K))


@pytest.mark.parametrize(
    ("text", "factor"),
    [("score = score * 2", 2.0), ("score = score / 4", 0.25), ("score = 3 * (score * 2)", 6.0)],
)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_a_constant_goes_into_the_scale(text: str, factor: float, scale: float | None) -> None:
    call = passed(f"causal; {text}", scale=scale)
    own = 1 / math.sqrt(D) if scale is None else scale
    assert call["attn_mask"] is None
    assert call["is_causal"] is True
    assert call["scale"] == pytest.approx(factor * own)
    assert is_asked_as_it_is(call)


@pytest.mark.parametrize(
    ("text", "on_q", "on_k"),
    [
        ("score = score * slopes[head]", GIVEN["slopes"].view(1, H, 1, 1), 1),
        ("input across: float; score = score * across[q]", GIVEN["across"].view(1, 1, Q, 1), 1),
        ("input along: float; score = score * along[k]", 1, GIVEN["along"].view(1, 1, K, 1)),
        (
            "input across: float; input along: float; score = score * (across[q] * along[k])",
            GIVEN["across"].view(1, 1, Q, 1),
            GIVEN["along"].view(1, 1, K, 1),
        ),
    ],
)
def test_factors_go_into_q_and_k(text: str, on_q: Any, on_k: Any) -> None:
    head = "input slopes: float; " if "slopes" in text else ""
    source, inputs = declared(f"{head}causal; {text}")
    call = passed(source, **inputs)
    q, k, v = qkv_of(CASE, D, dtype=torch.float32)
    assert call["attn_mask"] is None
    assert call["is_causal"] is True
    torch.testing.assert_close(call["q"], q * on_q)
    unseen = (call["k"] == 0).all(dim=-1, keepdim=True)
    torch.testing.assert_close(call["k"], (k * on_k).masked_fill(unseen, 0.0))
    assert is_seen(call["v"], v)


def test_a_factor_and_a_bias() -> None:
    source, inputs = declared("input bias: float; score = 2 * score + bias[batch, head, k]")
    call = passed(source, **inputs)
    assert call["scale"] == pytest.approx(2 / math.sqrt(D))
    assert call["attn_mask"].shape == (B, H, 1, K)


@pytest.mark.parametrize("text", ["score = softcap(score, 2)", "score = clip(score, 0.5)"])
def test_any_other_score_is_a_difference(text: str) -> None:
    call = passed(f"causal; {text}")
    assert call["attn_mask"].dtype is torch.float32
    assert call["attn_mask"].shape == (B, H, Q, K)
    assert call["is_causal"] is False
    assert is_asked_as_it_is(call)
