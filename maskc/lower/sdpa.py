"""Programs to ``torch.nn.functional.scaled_dot_product_attention``.

A mask alone is boolean, ``is_causal`` where it is exactly that; a bias is one float mask with -inf
merged in; factors go into ``scale``, q and k; any other score is the float mask ``f(s) - s``, built
from q and k. ``attn_mask`` and ``is_causal`` are never passed together: SDPA's backends disagree on
what that means.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskc.analysis.scores.score_class import ONE, Additive, Identity, Scaled
from maskc.errors import LoweringError
from maskc.ir.nodes import Expr
from maskc.ir.types import Dim, Sz
from maskc.lower import dense
from maskc.lower.attention_call import Attended, AttentionCall, Refusal
from maskc.lower.fold_factors import Folded, default_scale, fold, remaining
from maskc.lower.plan import Plan
from maskc.lower.unseen_keys import without_unseen
from maskc.topics import describe_bytes


def sdpa_args(
    plan: Plan, q: Tensor | None = None, k: Tensor | None = None, scale: float | None = None
) -> dict[str, Any]:
    """Return the keywords for SDPA: ``attn_mask``, ``is_causal``, ``enable_gqa`` and ``scale``.

    ``scale`` is there only where it is not SDPA's own.

    Args:
        plan: the bound program.
        q: the queries of the call, ``[B, H, Q, D]``; needed where the score is more than a bias.
        k: its keys, ``[B, Hkv, K, D]``; likewise.
        scale: the factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.

    Raises:
        LoweringError: q and k are needed and missing.

    """
    match plan.facts.form:
        case Scaled(constant, head, query, key) if (
            q is not None and constant > 0 and (head, query, key) == (ONE, ONE, ONE)
        ):
            scale = constant * (default_scale(q) if scale is None else scale)
            plan = plan.without_factors()
        case _:
            pass
    causal = plan.is_causal and not plan.changes_score and _is_positive(scale)
    args = {
        "attn_mask": None if causal else attn_mask(plan, q, k, scale),
        "is_causal": causal,
        "enable_gqa": plan.is_grouped,
    }
    return args if scale is None else {**args, "scale": scale}


def attn_mask(
    plan: Plan, q: Tensor | None = None, k: Tensor | None = None, scale: float | None = None
) -> Tensor | None:
    """Return the mask for SDPA: boolean, float, or None where every pair counts as it is.

    The shape is the smallest that broadcasts to ``[B, H, Q, K]``.
    """
    if not plan.changes_score:
        return plan.dense_mask()
    if isinstance(plan.facts.form, Additive):
        return _biased(plan, plan.facts.form.bias, q)
    if q is None or k is None:
        raise LoweringError(
            "M501",
            "the score is more than a bias, so its SDPA mask is made from q and k",
            plan.module.score.span,
            "call `sdpa_args(q, k)`, or run it on flex",
        )
    scores = dense.scaled_scores(dense.precise(q), dense.precise(k), scale)
    return (dense.masked_scores(plan, scores) - scores).to(mask_dtype(q))


def refuses(plan: Plan, call: AttentionCall) -> Refusal | None:
    """Return None: SDPA runs every call."""
    return None


def run(plan: Plan, call: AttentionCall) -> Attended:
    """Run SDPA, without a mask on the keys of a decode step where they are a slice."""
    keys = common_keys(plan, call)
    if keys is None:
        k, v = without_unseen(plan, call.k, call.v)
    else:
        k, v = (x[:, :, keys.start : keys.stop] for x in (call.k, call.v))
        plan = plan.unmasked()
    folded = fold(plan, call.q, k, call.scale)
    args = sdpa_args(folded.plan, folded.q, folded.k, folded.scale)
    out = F.scaled_dot_product_attention(folded.q, folded.k, v, dropout_p=call.dropout_p, **args)
    return finished(plan, folded, out, call.needs_lse)


def finished(plan: Plan, folded: Folded, out: Tensor, needs_lse: bool) -> Attended:
    """Return the output after the epilogue, and the log-sum-exp where it is needed.

    SDPA does not give the log-sum-exp, so it is computed beside it from dense scores.

    Args:
        plan: the bound program.
        folded: the call without the factors of its score.
        out: what SDPA gave, ``[B, H, Q, Dv]``.
        needs_lse: whether the caller wants the log-sum-exp; the epilogue may read it too.

    """
    lse = None
    if needs_lse or plan.facts.reads_lse:
        q, k = dense.precise(folded.q), dense.precise(folded.k)
        scores = dense.scaled_scores(q, k, folded.scale)
        lse = dense.log_sum_exp(dense.masked_scores(folded.plan, scores))
    return Attended(plan.epilogue(out, lse), lse)


def explain(plan: Plan | None, call: AttentionCall) -> list[str]:
    """Return the mask that SDPA gets."""
    if plan is None:
        return []
    if (keys := common_keys(plan, call)) is not None:
        return [f"attn_mask=None on keys {keys.start} to {keys.stop - 1}; no memory"]
    if is_maskless(plan, call.scale):
        return [f"attn_mask=None, is_causal={plan.masks}; no memory"]
    is_boolean = isinstance(remaining(plan), Identity)
    size = mask_elements(plan) * (1 if is_boolean else call.q.element_size())
    return [f"a {'boolean' if is_boolean else 'float'} attn_mask, {describe_bytes(size)}"]


def common_keys(plan: Plan, call: AttentionCall) -> range | None:
    """Return the keys of a decode step if they are a slice and need no mask then, else None."""
    if not plan.masks or plan.changes_score or plan.window is not None:
        return None
    return call.blocks.common_keys or None


def is_maskless(plan: Plan, scale: float | None = None) -> bool:
    """Tell whether SDPA runs the plan with neither a mask tensor nor a changed score."""
    if not isinstance(remaining(plan), Identity):
        return False
    return not plan.masks or (plan.is_causal and _is_positive(_folded_scale(plan, scale)))


def _folded_scale(plan: Plan, scale: float | None) -> float | None:
    """Return the scale of a call once a constant factor is in it; None for SDPA's own."""
    match plan.facts.form:
        case Scaled(constant=0.0):
            return 0.0
        case _:
            return scale


def _is_positive(scale: float | None) -> bool:
    """Tell whether ``is_causal`` is right: with a scale of 0 or less torch gives NaN, or worse."""
    return scale is None or not scale <= 0


def mask_elements(plan: Plan) -> int:
    """Return how many elements SDPA's mask has."""
    sizes = plan.domain.sizes
    deps = plan.module.mask.deps
    match remaining(plan):
        case Identity():
            pass
        case Additive(bias):
            deps |= bias.deps
        case _:
            deps |= Dim.ALL
    dims = {Dim.BATCH: Sz.BATCH_SIZE, Dim.HEAD: Sz.NUM_HEADS, Dim.Q: Sz.Q_LEN, Dim.K: Sz.KV_LEN}
    elements = 1
    for dim, size in dims.items():  # `math.prod` takes no symbols of a trace
        elements = elements * sizes[size] if dim in deps else elements
    return elements


def mask_dtype(q: Tensor) -> torch.dtype:
    """Return the dtype of a float mask: on CPU at least float32, which SDPA takes beside bfloat16.

    A mask ``f(s) - s`` in bfloat16 would lose what the kernel keeps in float32.
    """
    return dense.precise(q).dtype if q.device.type == "cpu" else q.dtype


def _biased(plan: Plan, bias: Expr, q: Tensor | None) -> Tensor:
    """Return a bias with the boolean mask merged in as -inf, in the dtype of a float mask."""
    dtype = torch.get_default_dtype() if q is None else mask_dtype(q)
    parts = (bias, plan.module.mask)
    return plan.keep("bias", (*parts, dtype), parts, lambda: _merged(plan, bias, dtype))


def _merged(plan: Plan, bias: Expr, dtype: torch.dtype) -> Tensor:
    mask = plan.dense_mask()
    result = plan.dense(bias, counted=dense.counted_pairs(plan, bias, mask)).to(dtype)
    return result if mask is None else torch.where(mask, result, -math.inf)
