"""The yardstick of a comparison: what plain SDPA costs in the dtype of a call.

``F.scaled_dot_product_attention`` runs on the same q, k and v and attends to the same keys with the
same weights: what the program does to the scores is computed in float64 and handed over as the mask
of the call, boolean where the program leaves the scores as they are. Nothing of a lowering is in it
but its mask's dtype, so its error is that of rounding, on these tensors and in this dtype.

Without the mask it would be no measure: a causal row of few keys is much larger, and so is its
error, than the mean over all keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.ir.nodes import SCORE, TRUE
from maskc.lower import dense
from maskc.lower.sdpa import mask_dtype
from maskc.testing.call import Call, Outcome, slopes

NAME = "plain sdpa"

SINGLE = 4
"""Bytes of a number in single precision."""


def plain_sdpa(call: Call, truth: Outcome, gradients: bool) -> tuple[Outcome, Outcome] | None:
    """Return what plain SDPA gives in the dtype of a call, and what it should give.

    None where q, k and v differ in dtype, which SDPA does not take.

    Args:
        call: the call.
        truth: of the reference in float64.
        gradients: whether to give those too.

    """
    if len({tensor.dtype for tensor in call.qkv.values()}) > 1:
        return None
    rounded = mask_dtype(call.qkv["q"])
    result = _outcome(call, rounded, gradients)
    if call.program.module.score == SCORE or rounded.itemsize >= SINGLE:
        return result, truth
    # A bias in half precision is another attention; that it is rounded is not what is measured.
    return result, _outcome(call.in_float64(), rounded, gradients)


def _outcome(call: Call, rounded: torch.dtype, gradients: bool) -> Outcome:
    with torch.inference_mode(False), torch.set_grad_enabled(gradients):
        ready = call.with_leaves() if gradients else call
        out = _run(ready, rounded)
        return Outcome(out.detach(), slopes(out, ready.leaves()) if gradients else {})


def _run(call: Call, rounded: torch.dtype) -> Tensor:
    """Return the output of plain SDPA after the epilogue.

    Args:
        call: the call; its q, k and v say in which dtype it runs.
        rounded: what a float mask is rounded to.

    """
    import torch.nn.functional as F

    exact = call.in_float64()
    bound, q, k, v = exact.bound(), *call.qkv.values()
    scores = bound.scores(exact.qkv["q"], exact.qkv["k"], scale=call.scale)
    mask = _mask(exact, scores)
    if mask is not None and mask.is_floating_point():
        mask = mask.to(rounded).to(mask_dtype(q))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=call.scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return bound.epilogue(out, dense.log_sum_exp(scores))


def _mask(exact: Call, scores: Tensor) -> Tensor | None:
    """Return what plain SDPA adds to its scores, so that they are those of the program."""
    module, q, k = exact.program.module, exact.qkv["q"], exact.qkv["k"]
    if module.score != SCORE:
        return scores - dense.scaled_scores(q, k, exact.scale)
    return None if module.mask == TRUE else scores.isneginf().logical_not()
