"""Dynamic masks in every combination of shapes, against a selection spelled out densely."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

import maskc
from benchmarks.selection import MIB, measured
from examples.dynamic_mask.dynamic import DynamicMaskAttention, dynamic_attention, dynamic_program

BATCH, HEADS, KV_HEADS, QUERIES, KEYS, WIDTH, COUNT = 2, 4, 2, 37, 53, 16, 11
BIASES = {"3-D bias": (BATCH, KV_HEADS, KEYS), "4-D bias": (BATCH, KV_HEADS, QUERIES, KEYS)}
MASKS = {
    "no mask": None,
    "3-D mask": (BATCH, KV_HEADS, KEYS),
    "3-D mask of one head": (BATCH, 1, KEYS),
    "4-D mask": (BATCH, KV_HEADS, QUERIES, KEYS),
    "4-D mask of one head": (BATCH, 1, QUERIES, KEYS),
}


def tensors(bias: str, mask: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor | None]:
    torch.manual_seed(0)
    q = torch.randn(BATCH, HEADS, QUERIES, WIDTH, dtype=dtype)
    k, v = torch.randn(2, BATCH, KV_HEADS, KEYS, WIDTH, dtype=dtype)
    shape = MASKS[mask]
    found = {"q": q, "k": k, "v": v, "bias": torch.randn(BIASES[bias]).to(dtype)}
    found = {name: x.requires_grad_() for name, x in found.items()}
    return {**found, "mask": None if shape is None else torch.rand(shape) < 0.6}


def dense(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """Attend by the definition: select among the allowed keys, then mask, then softmax."""

    def full(x: Tensor) -> Tensor:
        x = x[:, :, None] if x.dim() == 3 else x
        x = x.expand(BATCH, KV_HEADS if x.shape[1] > 1 else 1, QUERIES, KEYS)
        return x.repeat_interleave(HEADS // x.shape[1], dim=1)

    bias = full(bias)
    allowed = full(torch.ones(1, 1, KEYS, dtype=torch.bool) if mask is None else mask)
    values = bias.detach().masked_fill(~allowed, -torch.inf)
    order = values.argsort(dim=-1, descending=True, stable=True)[..., :COUNT]
    keep = torch.zeros_like(allowed).scatter_(-1, order, value=True) & allowed
    keep = keep & torch.ones(QUERIES, KEYS, dtype=torch.bool).tril(KEYS - QUERIES)
    k, v = (x.repeat_interleave(HEADS // KV_HEADS, dim=1) for x in (k, v))
    scores = q @ k.mT * WIDTH**-0.5 + bias
    empty = ~keep.any(dim=-1, keepdim=True)
    weights = scores.masked_fill(~keep, -torch.inf).masked_fill(empty, 0.0).softmax(dim=-1)
    return weights.masked_fill(empty, 0.0) @ v


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("backend", ["sdpa", "reference"])
def test_every_combination_of_shapes(backend: str, bias: str, mask: str) -> None:
    given = tensors(bias, mask)
    found = dynamic_attention(**given, count=COUNT, backend=backend)
    expected = dense(**given)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    trained = [given[name] for name in ("q", "k", "v", "bias")]
    weight = torch.randn_like(found)
    for ours, theirs in zip(
        torch.autograd.grad((found * weight).sum(), trained),
        torch.autograd.grad((expected * weight).sum(), trained),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.compiled
@pytest.mark.parametrize(("bias", "mask"), [("3-D bias", "no mask"), ("4-D bias", "4-D mask")])
def test_compiled_flex(bias: str, mask: str) -> None:
    given = tensors(bias, mask)
    given = {name: None if x is None else x.detach() for name, x in given.items()}
    found = dynamic_attention(**given, count=COUNT, backend="flex")
    torch.testing.assert_close(found, dense(**given), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", BIASES)
def test_gradients_of_half_precision_are_finite(bias: str, dtype: torch.dtype) -> None:
    given = tensors(bias, "4-D mask", dtype)
    dynamic_attention(**given, count=COUNT).square().sum().backward()
    for name in ("q", "k", "v", "bias"):
        assert given[name].grad.isfinite().all()
        assert given[name].grad.any()


def test_more_keys_than_there_are_selects_all_that_are_allowed() -> None:
    given = tensors("3-D bias", "3-D mask")
    found = dynamic_attention(**given, count=10**6)
    text = "input keep: bool; input bias: float; keep[kv_head, k] & causal_lower_right"
    plain = maskc.compile_mask(f"{text}; score = score + bias[kv_head, k]")
    q, k, v, bias, keep = given.values()
    torch.testing.assert_close(found, plain(q, k, v, bias=bias, keep=keep))


def test_the_bias_keeps_its_shape() -> None:
    bound = dynamic_program(COUNT, 3, None).bind(
        q_len=QUERIES,
        kv_len=KEYS,
        batch_size=BATCH,
        num_heads=HEADS,
        num_kv_heads=KV_HEADS,
        bias=torch.randn(BATCH, KV_HEADS, KEYS),
    )
    largest = max(x.numel() for x in bound.mask_mod.tensors)
    assert largest == BATCH * HEADS * KEYS


def test_the_layer_learns_what_to_keep() -> None:
    torch.manual_seed(0)
    layer = DynamicMaskAttention(32, 4, 2, count=5)
    layer(torch.randn(2, 40, 32)).square().sum().backward()
    assert layer.gain.grad.isfinite().all()
    assert layer.to_bias.weight.grad.any()


@pytest.mark.parametrize(("where", "most"), [("true", 0.875), ("causal", 16.0)])
def test_memory_of_the_published_setting(where: str, most: float) -> None:
    """Two batches, 32 heads, 2048 keys, 1024 of them kept, bfloat16; MiB, inputs counted."""
    bias = torch.randn(2, 32, 2048).bfloat16()
    program = maskc.compile_mask(
        f"input bias: float\ntopk(bias[kv_head, k], 1024, where = {where})"
    )
    gc.collect()
    peak, _, _ = measured(
        lambda: program.bind(q_len=2048, batch_size=2, num_heads=32, bias=bias), "cpu"
    )
    assert 0.1 < (peak + bias.nbytes) / MIB < most
