"""A traced mask against its callable, at random pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from maskc.errors import TraceError
from maskc.tracing.callables.location import function_span

PAIRS = 4096


def verify_mask(
    mask_mod: Callable[..., Any],
    program_mod: Callable[..., Any],
    sizes: tuple[int, int, int, int],
    device: torch.device,
) -> None:
    """Compare a callable and its program at random pairs.

    Raises:
        TraceError: they differ; the message names a pair.

    """
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    seeds = torch.Generator().manual_seed(0)
    pairs = [torch.randint(0, size, (PAIRS,), generator=seeds).to(device) for size in sizes]
    with torch.no_grad(), TransformGetItemToIndex():
        wanted, result = (torch.vmap(mod)(*pairs) for mod in (mask_mod, program_mod))
    wrong = (wanted != result).nonzero()
    if len(wrong):
        first = int(wrong[0])
        at = ", ".join(
            f"{name}={int(index[first])}" for name, index in zip("bhqk", pairs, strict=True)
        )
        message = f"the program differs from its mask_mod at {len(wrong)} of {PAIRS} pairs: {at}"
        span = function_span(getattr(mask_mod, "__code__", None))
        raise TraceError("M811", message, span, "please report the callable; use torch's function")
