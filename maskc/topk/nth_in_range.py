"""The n-th smallest number of many ranges of a sequence, at once.

Nearly every mask lets a query attend to one range of keys (causal, windows, sorted documents, and
their intersections); whether it does shows when it is evaluated. Then the last selected key of a
query is the n-th smallest rank of a range, and a wavelet matrix (Claude, Navarro and Ordonez,
"The wavelet matrix", 2015) answers that for all queries in one step for each bit of a rank: the
ranks are sorted by one bit after the other, stably, and a range stays a range among the zeros and a
range among the ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain
from maskc.topk.query_rows import LEAST_BYTES, MOST_BYTES, QueryRows, rows_of

ROW_BYTES = 64
"""What a key or a query takes in a step: a few bounds and positions of 64 bits."""


def key_ranges(mask: Expr, domain: Domain) -> tuple[Tensor, Tensor] | None:
    """Return for each query the range of keys that ``mask`` allows, or None if some have several.

    The result is the first key and the one after the last, int32 ``[B | 1, H | 1, Q | 1]``; no
    keys are a range too.
    """
    rows = QueryRows(domain, mask.deps)
    first, stop = torch.empty((2, len(rows)), dtype=torch.int32, device=domain.device)
    for some in rows.chunks(first.nbytes + stop.nbytes):
        allowed = rows.values(mask, some)
        begins = (allowed[:, 1:] & ~allowed[:, :-1]).sum(dim=-1) + allowed[:, 0]
        if bool((begins > 1).any()):
            return None
        first[some] = allowed.to(torch.uint8).argmax(dim=-1).to(torch.int32)
        stop[some] = first[some] + allowed.sum(dim=-1, dtype=torch.int32)
    return first.view(rows.shape), stop.view(rows.shape)


def nth_in_ranges(numbers: Tensor, first: Tensor, stop: Tensor, n: int) -> Tensor:
    """Return the n-th smallest, from 0, of each range of a sequence.

    Args:
        numbers: sequences of ints from 0 to K - 1, ``[B | 1, H | 1, K]``.
        first: where the ranges start, ``[B | 1, H | 1, Q]``.
        stop: where they end, likewise, exclusive.
        n: which number of a range.

    Returns:
        int32 ``[B | 1, H | 1, Q]``; K for a range of n numbers or fewer.

    """
    batches, heads = (max(pair) for pair in zip(numbers.shape[:2], first.shape[:2], strict=True))
    queries = first.shape[-1]
    result = torch.empty(batches * heads, queries, dtype=torch.int32, device=numbers.device)
    scratch = min(max(result.nbytes, LEAST_BYTES), MOST_BYTES)
    size = max(1, scratch // (ROW_BYTES * max(queries, numbers.shape[-1])))
    for some in torch.split(torch.arange(batches * heads, device=numbers.device), size):
        outer = (some // heads, some % heads)
        bounds = rows_of(first, *outer).long(), rows_of(stop, *outer).long()
        result[some] = _nth(rows_of(numbers, *outer), *bounds, n)
    return result.view(batches, heads, queries)


def _nth(numbers: Tensor, first: Tensor, stop: Tensor, n: int) -> Tensor:
    """Return the same for numbers ``[G, K]`` and ranges ``[G, Q]``, one bit of it at a time."""
    keys = numbers.shape[-1]
    short = stop - first <= n
    left = torch.full_like(first, n)
    result = torch.zeros_like(first)
    for bit in reversed(range((keys - 1).bit_length())):
        ones = (numbers >> bit & 1).bool()
        zeros_before = torch.nn.functional.pad((~ones).cumsum(-1, dtype=torch.int32), (1, 0))
        zeros = zeros_before[:, -1:]
        low, high = (zeros_before.gather(1, bound).long() for bound in (first, stop))
        among_zeros = left < high - low
        first = torch.where(among_zeros, low, zeros + first - low)
        stop = torch.where(among_zeros, high, zeros + stop - high)
        left = torch.where(among_zeros, left, left - (high - low))
        result += (~among_zeros).long() << bit
        numbers = _sorted_by(ones, zeros_before[:, :-1], zeros, numbers)
    return result.masked_fill_(short, keys).to(torch.int32)


def _sorted_by(ones: Tensor, zeros_before: Tensor, zeros: Tensor, numbers: Tensor) -> Tensor:
    """Move the numbers without the bit to the front and those with it behind them, in order."""
    own = torch.arange(numbers.shape[-1], device=numbers.device)
    target = torch.where(ones, zeros + own - zeros_before, zeros_before.long())
    return torch.empty_like(numbers).scatter_(1, target, numbers)
