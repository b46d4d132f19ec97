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
    return zeroed(_seen(plan), *tensors)


def zeroed(seen: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return keys and values, 0 where they are not ``seen``; all are, if it has no elements."""
    if seen is None or not seen.numel():
        return tensors
    return tuple(torch.where(seen, x, 0.0) for x in tensors)


def seen_by_some(mask: Tensor, key_heads: int) -> Tensor:
    """Return which keys some query of a mask ``[B | 1, H | 1, Q, K | 1]`` attends to.

    Returns:
        Booleans ``[B | 1, Hkv | 1, K | 1, 1]``; no elements if all keys are seen.

    """
    # The largest byte is found twenty times faster than a true one, but not by every compiler.
    seen = mask.any(dim=2) if in_trace() else mask.view(torch.uint8).amax(dim=2).bool()
    if seen.shape[1] > 1:
        seen = seen.view(len(seen), key_heads, -1, seen.shape[-1]).any(dim=2)
    return _known(seen.unsqueeze(-1))


def _seen(plan: Plan) -> Tensor | None:
    """Return which keys some query attends to, ``[B | 1, Hkv | 1, K | 1, 1]``.

    None, and a tensor without elements, say that all are seen: the second is kept for later calls.
    """
    if not plan.masks:
        return None
    if plan.is_causal:
        return _first(plan) if plan.domain.sizes[Sz.Q_LEN] < plan.domain.sizes[Sz.KV_LEN] else None
    mask = plan.module.mask
    return plan.keep("seen", mask, (mask,), lambda: _of_call(plan))


def _first(plan: Plan) -> Tensor:
    """Return the keys that the last query sees where the mask is causal."""
    sizes = plan.domain.sizes
    keys = torch.arange(sizes[Sz.KV_LEN], device=plan.domain.device)
    return (keys < sizes[Sz.Q_LEN]).view(1, 1, -1, 1)


def _of_call(plan: Plan) -> Tensor:
    mask = plan.dense_mask()
    assert mask is not None
    return seen_by_some(mask, plan.domain.sizes[Sz.NUM_KV_HEADS])


def _known(seen: Tensor) -> Tensor:
    """Return no elements where all are seen; a trace and a graph that is captured cannot look."""
    if in_trace():
        return seen
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if initialized and torch.cuda.is_current_stream_capturing():
        return seen
    return seen.new_empty(0) if bool(seen.all()) else seen
