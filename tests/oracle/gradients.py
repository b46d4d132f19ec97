"""The gradients of q, k and v, against those of the formula."""

from __future__ import annotations

import torch
from torch import Tensor

from oracle.attention import attend
from oracle.case import Case, differs

BACKENDS = ("reference", "sdpa")
"""Those that have gradients on every device."""


def gradients(case: Case) -> str | None:
    """Compare the gradients of one random direction of the output."""
    doubles = [x.detach().double().requires_grad_() for x in case.qkv]
    out = attend(case.program, *doubles).out
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(out.shape, generator=generator, dtype=out.dtype)
    expected = _of(out, doubles, direction)
    for name in BACKENDS:
        leaves = [x.detach().clone().requires_grad_() for x in case.qkv]
        found = _of(case.bound(*leaves, backend=name, **case.options), leaves, direction)
        for side, one, other in zip("qkv", found, expected, strict=True):
            size = max(1.0, float(other.abs().max()))
            wrong = differs(case, one / size, other / size, factor=8.0)
            if wrong:
                return f"the gradient of {side} on {name}, by its size: {wrong}"
    return None


def _of(out: Tensor, leaves: list[Tensor], direction: Tensor) -> list[Tensor]:
    """Return the gradients; zeros where the output does not depend on a leaf."""
    if not out.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(out, leaves, direction.to(out.dtype), allow_unused=True)
    return [
        torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)
    ]
