"""Keys that no query of a call attends to: what they hold must not matter.

A padded batch or a static cache has keys that were never written, and may hold infinities and NaN.
A weight of 0 times NaN is NaN, so such keys and their values are read as 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.ir.in_trace import in_trace
from maskc.ir.types import Sz
from maskc.lower.plan import Plan


def without_unseen(plan: Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return keys and values ``[B, Hkv, K, ...]``, 0 where no query of the call attends."""
    seen = _seen(plan)
    if seen is None or not seen.numel():
        return tensors
    return tuple(torch.where(seen, x, 0.0) for x in tensors)


def _seen(plan: Plan) -> Tensor | None:
    """Return which keys some query attends to, ``[B | 1, Hkv | 1, K | 1, 1]``.

    None, and a tensor without elements, say that all are seen: the second is kept for later calls.
    """
    if not plan.masks:
        return None
    if plan.is_causal:
        return _first(plan) if plan.domain.sizes[Sz.Q_LEN] < plan.domain.sizes[Sz.KV_LEN] else None
    mask = plan.module.mask
    return plan.keep("seen", mask, (mask,), lambda: _known(_any_query(plan)))


def _first(plan: Plan) -> Tensor:
    """Return the keys that the last query sees where the mask is causal."""
    sizes = plan.domain.sizes
    keys = torch.arange(sizes[Sz.KV_LEN], device=plan.domain.device)
    return (keys < sizes[Sz.Q_LEN]).view(1, 1, -1, 1)


def _any_query(plan: Plan) -> Tensor:
    mask = plan.dense_mask()
    assert mask is not None
    seen = mask.any(dim=2)
    if plan.is_grouped and seen.shape[1] > 1:
        heads = plan.domain.sizes[Sz.NUM_KV_HEADS]
        seen = seen.view(len(seen), heads, -1, seen.shape[-1]).any(dim=2)
    return seen.unsqueeze(-1)


def _known(seen: Tensor) -> Tensor:
    """Return no elements where all are seen; a trace and a graph that is captured cannot look."""
    if in_trace():
        return seen
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if initialized and torch.cuda.is_current_stream_capturing():
        return seen
    return seen.new_empty(0) if bool(seen.all()) else seen
