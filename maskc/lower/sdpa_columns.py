"""SDPA with the bias of the score in extra columns of q and k, and no bias tensor.

What a call asks for by ``fold_bias=True``; ``auto`` takes it where it was measured to pay.
"""

from __future__ import annotations

import torch.nn.functional as F

from maskc.lower import bias_columns, sdpa
from maskc.lower.attention_call import Attended, AttentionCall, Refusal
from maskc.lower.fold_factors import fold, folds
from maskc.lower.plan import Plan
from maskc.lower.unseen_keys import without_unseen


def refuses(plan: Plan, call: AttentionCall) -> Refusal | None:
    """Return why the bias has no place in q and k, as far as shapes tell, or None."""
    return sdpa.refuses(plan, call) or bias_columns.refuses(_without_factors(plan), call.q)


def run(plan: Plan, call: AttentionCall) -> Attended:
    """Run SDPA on wider q, k and v: torch's CPU flash kernel takes no v of another width.

    Raises:
        LoweringError: a factor of the bias is not finite, or there are too many columns.

    """
    k, v = without_unseen(plan, call.k, call.v)
    folded = fold(plan, call.q, k, call.scale)
    wide = bias_columns.widen(folded.plan, folded.q, folded.k, folded.scale)
    width = v.shape[-1]
    v = F.pad(v, (0, max(0, wide.q.shape[-1] - width)))
    args = sdpa.sdpa_args(wide.plan, wide.q, wide.k, 1.0)
    out = F.scaled_dot_product_attention(wide.q, wide.k, v, dropout_p=call.dropout_p, **args)
    return sdpa.finished(plan, folded, out[..., :width], call.needs_lse)


def explain(plan: Plan | None, call: AttentionCall) -> list[str]:
    """Return nothing for a program without a bias, and else what becomes of it."""
    if plan is None or not _without_factors(plan).facts.terms or refuses(plan, call) is not None:
        return []
    rest = sdpa.explain(plan.without_score(), call)[0]
    return [f"with fold_bias=True the bias is in columns of q and k: {rest}"]


def pays(plan: Plan, call: AttentionCall) -> bool:
    """Tell whether the bias is better in columns than in a tensor, and surely fits there."""
    return bias_columns.pays(_without_factors(plan), call.q)


def _without_factors(plan: Plan) -> Plan:
    """Return the plan once its factors are in scale, q and k, as far as they have a place there."""
    return plan.without_factors() if folds(plan) else plan
