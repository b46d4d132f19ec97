"""Hold what the kernels of a GPU give, interpreted on CPU, against the reference."""

from __future__ import annotations

from typing import Any

import torch
from attend import QKV, backward, forward, gpu_args
from torch import Tensor
from torch.testing import assert_close

from maskc import Bound
from maskc.ir.types import Sz

TOLERANCE = {torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""The largest error of an output from normal q, k and v; a lost key costs some hundredths."""
SLOPE_TOLERANCE = 3e-4
"""The largest error of a gradient in float32."""


def normal_qkv(bound: Bound, width: int = 16, dtype: torch.dtype = torch.float32) -> QKV:
    """Return q, k and v of the sizes of a binding, the same numbers each time."""
    sizes = bound.spec.sizes
    batch, heads, grouped = sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_HEADS], sizes[Sz.NUM_KV_HEADS]
    random = torch.Generator().manual_seed(0)
    queries = (batch, heads, sizes[Sz.Q_LEN], width)
    keys = (batch, grouped, sizes[Sz.KV_LEN], width)
    q, k, v = (torch.randn(shape, generator=random) for shape in (queries, keys, keys))
    return q.to(dtype), k.to(dtype), v.to(dtype)


def assert_forward_agrees(
    bound: Bound,
    *,
    qkv: QKV | None = None,
    args: dict[str, Any] | None = None,
    capability: int = 90,
) -> str:
    """Run the forward kernel and compare output and log-sum-exp; return the code emitted.

    Args:
        bound: what the reference computes, and by default what the kernel runs.
        qkv: queries, keys and values; normal ones by default.
        args: other keywords for the kernel than those of ``bound``.
        capability: of the GPU.

    """
    qkv = normal_qkv(bound) if qkv is None else qkv
    found = forward(gpu_args(bound) if args is None else args, qkv, capability)
    single = tuple(x.float() for x in qkv)
    out, lse = bound(*single, backend="reference", return_lse=True)
    tolerance = TOLERANCE[qkv[0].dtype]
    of_kernel = bound.epilogue(found.out.float(), found.lse.float())
    assert_close(of_kernel, out, rtol=0, atol=tolerance, equal_nan=True)
    assert_close(found.lse.float(), lse, rtol=tolerance, atol=tolerance)
    return found.code


def assert_backward_agrees(
    bound: Bound,
    *trained: Tensor,
    qkv: QKV | None = None,
    args: dict[str, Any] | None = None,
    capability: int = 90,
) -> None:
    """Run the backward kernel and compare the gradients of q, k, v and of trained tables.

    Args:
        bound: what the reference computes, and by default what the kernel runs.
        *trained: inputs that require a gradient, in the order in which the score captures them.
        qkv: queries, keys and values; normal ones by default.
        args: other keywords for the kernel than those of ``bound``.
        capability: of the GPU.

    """
    qkv = normal_qkv(bound) if qkv is None else qkv
    leaves = tuple(x.detach().requires_grad_() for x in qkv)
    out, lse = bound(*leaves, backend="reference", return_lse=True)
    slope = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    expected = torch.autograd.grad(out, (*leaves, *trained), slope)
    args = gpu_args(bound) if args is None else args
    found = backward(args, qkv, out.detach(), lse.detach(), slope, capability)
    captured = [grad for grad in found.captured if grad is not None]
    for of_kernel, of_reference in zip((*found.qkv, *captured), expected, strict=True):
        assert_close(of_kernel, of_reference, rtol=SLOPE_TOLERANCE, atol=SLOPE_TOLERANCE)
