"""The meaning of a program on tensors, step by step: dense, obvious, differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskc.lower import dense
from maskc.lower.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor


def scores(plan: Plan, q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Return the masked scores ``[B, H, Q, K]``, in float32 at least."""
    scaled = dense.scaled_scores(dense.precise(q), dense.precise(k), scale)
    return dense.masked_scores(plan, scaled)


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

    Computed in float64 for float64 tensors, in float32 for all others; the output has q's dtype.
    """
    found = scores(plan, q, k, scale)
    lse = dense.log_sum_exp(found)
    out = dense.weights(found) @ dense.repeated(dense.precise(v), q.shape[1])
    return plan.epilogue(out, lse).to(q.dtype), lse
