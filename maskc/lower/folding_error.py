"""How far a call with its bias folded into q and k is from float64, measured on its own tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskc.ir.types import Given, Ix
from maskc.ir.vectorize import At, Domain, everywhere, vectorize
from maskc.lower import dense
from maskc.lower.fold_factors import default_scale, fold
from maskc.lower.plan import Plan
from maskc.lower.sdpa import sdpa_folded

if TYPE_CHECKING:
    from torch import Tensor

MOST_ROWS = 256


def folding_error(plan: Plan, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> float:
    """Return the largest error of the folded output on evenly spaced query rows.

    Args:
        plan: the bound program.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.

    Raises:
        LoweringError: the bias cannot be folded.

    """
    import torch

    with torch.no_grad():
        folded = fold(plan, q, k, scale)
        out = sdpa_folded(folded.plan, folded.q, folded.k, v, folded.scale)
        count = min(MOST_ROWS, q.shape[2])
        rows = torch.linspace(0, q.shape[2] - 1, count, device=q.device).round().long()
        scale = default_scale(q) if scale is None else scale
        exact = _exact(plan, q[:, :, rows].double(), k.double(), v.double(), scale, rows)
        return float((out[:, :, rows].double() - exact).abs().max())


def _exact(plan: Plan, q: Tensor, k: Tensor, v: Tensor, scale: float, rows: Tensor) -> Tensor:
    """Return the attention of some query rows in float64, before any epilogue."""
    indices = {**everywhere(plan.domain).indices, Ix.Q_IDX: rows.view(1, 1, -1, 1)}
    tensors = {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in plan.domain.tensors.items()
    }
    domain = Domain(plan.domain.sizes, tensors, plan.domain.device)
    scores = dense.scaled_scores(q, k, scale)
    scores = vectorize(plan.module.score, At(indices), domain, {Given.SCORE: scores})
    mask = vectorize(plan.module.mask, At(indices), plan.domain)
    weights = dense.weights(scores.masked_fill(~mask, -math.inf))
    return weights @ dense.repeated(v, q.shape[1])
