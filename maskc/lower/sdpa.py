"""Programs to ``torch.nn.functional.scaled_dot_product_attention``.

A mask alone is boolean, ``is_causal`` where it is exactly that; a bias is one float mask with -inf
merged in; factors go into ``scale``, q and k; any other score is the float mask ``f(s) - s``, built
from q and k. ``attn_mask`` and ``is_causal`` are never passed together: SDPA's backends disagree on
what that means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from maskc.analysis.scores.score_class import ONE, Additive, Scaled
from maskc.errors import LoweringError
from maskc.ir.nodes import Expr
from maskc.lower import dense
from maskc.lower.bias_columns import widen
from maskc.lower.fold_factors import default_scale, fold
from maskc.lower.plan import Plan

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
    causal = plan.is_causal and not plan.changes_score
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


def sdpa(
    plan: Plan,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    dropout_p: float = 0.0,
    needs_lse: bool = False,
    fold_bias: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Run SDPA; return the output and, if asked for or read by the epilogue, the log-sum-exp.

    SDPA does not give the log-sum-exp, so it is computed beside it from dense scores.

    Raises:
        LoweringError: ``fold_bias`` is asked for, and the bias has no place in q and k.

    """
    import torch.nn.functional as F

    folded = fold(plan, q, k, scale)
    rest, q, k = folded.plan, folded.q, folded.k
    if fold_bias:
        out = sdpa_folded(rest, q, k, v, folded.scale, dropout_p)
    else:
        args = sdpa_args(rest, q, k, folded.scale)
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, **args)
    lse = None
    if needs_lse or plan.facts.reads_lse:
        scores = dense.scaled_scores(dense.precise(q), dense.precise(k), folded.scale)
        lse = dense.log_sum_exp(dense.masked_scores(rest, scores))
    return plan.epilogue(out, lse), lse


def sdpa_folded(
    plan: Plan, q: Tensor, k: Tensor, v: Tensor, scale: float, dropout_p: float = 0.0
) -> Tensor:
    """Run SDPA with the bias in columns of q and k; return the output before any epilogue.

    v is made as wide as they are: torch's CPU flash kernel takes nothing else.

    Args:
        plan: the bound program, its factors folded.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        scale: factor of ``q @ k^T``.
        dropout_p: probability that a weight is dropped.

    Raises:
        LoweringError: the bias has no place in q and k.

    """
    import torch.nn.functional as F

    wide = widen(plan, q, k, scale)
    width = wide.q.shape[-1]
    padded = F.pad(v, (0, max(0, width - v.shape[-1])))
    args = sdpa_args(wide.plan, wide.q, wide.k, 1.0)
    out = F.scaled_dot_product_attention(wide.q, wide.k, padded, dropout_p=dropout_p, **args)
    return out[..., : v.shape[-1]]


def mask_dtype(q: Tensor) -> torch.dtype:
    """Return the dtype of a float mask: on CPU at least float32, which SDPA takes beside bfloat16.

    A mask ``f(s) - s`` in bfloat16 would lose what the kernel keeps in float32.
    """
    return dense.precise(q).dtype if q.device.type == "cpu" else q.dtype


def _biased(plan: Plan, bias: Expr, q: Tensor | None) -> Tensor:
    """Return a bias with the boolean mask merged in as -inf, in the dtype of a float mask."""
    import torch

    dtype = torch.get_default_dtype() if q is None else mask_dtype(q)
    parts = (bias, plan.module.mask)
    return plan.keep("bias", (*parts, dtype), parts, lambda: _merged(plan, bias, dtype))


def _merged(plan: Plan, bias: Expr, dtype: torch.dtype) -> Tensor:
    import torch

    mask = plan.dense_mask()
    found = plan.dense(bias, counted=dense.counted_pairs(plan, bias, mask)).to(dtype)
    return found if mask is None else torch.where(mask, found, -math.inf)
