"""The meaning of a program on tensors, step by step: dense, obvious, differentiable."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from maskc.lower import dense
from maskc.lower.attention_call import Attended, AttentionCall, Refusal, no_dropout
from maskc.lower.plan import Plan
from maskc.lower.unseen_keys import without_unseen
from maskc.topics import describe_bytes


def scores(plan: Plan, q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Return the masked scores ``[B, H, Q, K]``, in float32 at least."""
    q, k = dense.alike(q, *without_unseen(plan, k))
    return dense.masked_scores(plan.as_written(), dense.scaled_scores(q, k, scale))


def probabilities(plan: Plan, q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    """Return the attention weights ``[B, H, Q, K]``, in float32 at least."""
    weights = dense.weights(scores(plan, q, k, scale))
    rows = plan.nan_rows
    return weights if rows is None else weights.masked_fill(rows.unsqueeze(-1), torch.nan)


def refuses(plan: Plan, call: AttentionCall) -> Refusal | None:
    """Return why the reference cannot run the call: it has no dropout."""
    return no_dropout("the reference", call)


def run(plan: Plan, call: AttentionCall) -> Attended:
    """Return output and log-sum-exp.

    Computed in float64 if one of the tensors has it, else in float32; the output has q's dtype.
    """
    q, k, v = dense.alike(call.q, *without_unseen(plan, call.k, call.v))
    masked = scores(plan, q, k, call.scale)
    lse = dense.log_sum_exp(masked)
    out = dense.weights(masked) @ dense.repeated(v, q.shape[1])
    return Attended(plan.epilogue(out, lse).to(call.q.dtype), lse)


def explain(plan: Plan | None, call: AttentionCall) -> list[str]:
    """Return the bytes of the scores of all pairs."""
    elements = prod((*call.q.shape[:3], call.k.shape[2]))
    return [f"dense scores, {describe_bytes(4 * elements)}, twice that in float64"]
