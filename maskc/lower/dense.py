"""Dense scores and masks, shared by the reference and by SDPA's float masks."""

from __future__ import annotations

import math
from math import prod
from operator import index

import torch
from torch import Tensor

from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr
from maskc.ir.types import Given
from maskc.ir.vectorize import check_pairs
from maskc.lower.plan import Plan


def scaled_scores(q: Tensor, k: Tensor, scale: float | None) -> Tensor:
    """Return ``q @ k^T * scale``, ``[B, H, Q, K]``; key heads are repeated for their group."""
    scale = 1 / math.sqrt(index(q.shape[-1])) if scale is None else scale
    if not in_trace():
        check_pairs(prod((*q.shape[:3], k.shape[2])))
    return (q * scale) @ repeated(k, q.shape[1]).transpose(-1, -2)


def precise(x: Tensor) -> Tensor:
    """Return ``x`` in float32 at least."""
    return x if x.dtype is torch.float64 else x.float()


def alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors in one dtype: float64 if one of them has it, float32 otherwise."""
    double = any(x.dtype is torch.float64 for x in tensors)
    return tuple(x.double() if double else x.float() for x in tensors)


def repeated(x: Tensor, heads: int) -> Tensor:
    """Return ``[B, Hkv, ...]`` as ``[B, heads, ...]``, each head once for its group of queries."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def masked_scores(plan: Plan, scores: Tensor) -> Tensor:
    """Return the program's scores, -inf where the mask is false.

    The mask is applied before the score as well as after it: a function that overflows at a
    masked place (``exp``) would give ``0 * inf``, which is NaN, in its gradient.
    """
    mask = plan.dense_mask()
    if plan.changes_score:
        given = {Given.SCORE: scores if mask is None else scores.masked_fill(~mask, 0.0)}
        counted = counted_pairs(plan, plan.module.score, mask, given)
        result = plan.dense(plan.module.score, given, counted)
        scores = result.to(scores.dtype).expand_as(scores)
    return scores if mask is None else scores.masked_fill(~mask, -math.inf)


def counted_pairs(
    plan: Plan, expr: Expr, mask: Tensor | None, given: dict[Given, Tensor] | None = None
) -> Tensor | None:
    """Return the pairs whose weight may be more than 0, None where the others do no harm.

    A score of -inf masks its pair as the mask does. At neither may the slope of ``expr``, a score
    or a bias, count: it may be infinite (``log(gate[k])`` where the gate is 0).
    """
    if plan.facts.is_smooth or not torch.is_grad_enabled():
        return None
    with torch.no_grad():
        counts = plan.dense(expr, given) != -math.inf
    return counts if mask is None else counts & mask


def log_sum_exp(scores: Tensor) -> Tensor:
    """Return the natural log-sum-exp of each row, -inf and no gradient for a row without keys."""
    dead = scores.amax(dim=-1, keepdim=True) == -math.inf
    lse = scores.masked_fill(dead, 0.0).logsumexp(dim=-1)
    return lse.masked_fill(dead.squeeze(-1), -math.inf)


def weights(scores: Tensor) -> Tensor:
    """Return the probabilities of each row, 0 for a row without keys."""
    dead = scores.amax(dim=-1, keepdim=True) == -math.inf
    return scores.masked_fill(dead, 0.0).softmax(dim=-1).masked_fill(dead, 0.0)
