"""The meaning of a program on tensors, step by step: dense, obvious, differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskc.lower import dense
from maskc.lower.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor


def scores(plan: Plan, q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Return the masked scores ``[B, H, Q, K]``, in float32 at least."""
    q, k = dense.alike(q, k)
    return dense.masked_scores(plan, dense.scaled_scores(q, k, scale))


def probabilities(plan: Plan, q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Return the attention weights ``[B, H, Q, K]``, in float32 at least."""
    import torch

    found = dense.weights(scores(plan, q, k, scale))
    return (
        found
        if plan.nan_rows is None
        else found.masked_fill(plan.nan_rows.unsqueeze(-1), torch.nan)
    )


def reference(
    plan: Plan, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the output ``[B, H, Q, Dv]`` and the log-sum-exp ``[B, H, Q]``.

    Computed in float64 if one of the tensors has it, else in float32; the output has q's dtype.
    """
    dtype = q.dtype
    q, k, v = dense.alike(q, k, v)
    found = scores(plan, q, k, scale)
    lse = dense.log_sum_exp(found)
    out = dense.weights(found) @ dense.repeated(v, q.shape[1])
    return plan.epilogue(out, lse).to(dtype), lse
