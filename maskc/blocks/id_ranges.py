"""Equal ids as ranges of keys: packed documents, whose tokens stand side by side, in any order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LARGEST = 2**62
"""Ids whose range times the number of sequences is above this are left alone."""


class Range(NamedTuple):
    """The keys of each query: the first, and the one after the last; int64, equal for none."""

    first: Tensor
    stop: Tensor


def id_ranges(q_ids: Tensor, k_ids: Tensor) -> Range | None:
    """Return for each query the range of keys with its id, or None if some id has several ranges.

    They are looked up range by range, in ``O(Q + K)`` and a sort of the ranges of keys, which are
    few.

    Args:
        q_ids: ints ``[..., Q]``.
        k_ids: ints ``[..., K]``, of the same leading dimensions.

    """
    keys = _ranges(k_ids)
    queries = keys if _is_same(q_ids, k_ids) else _ranges(q_ids)
    least, most = (int(x) for x in keys.ids.aminmax())
    span = most - least + 1
    if (int(keys.sequence[-1]) + 1) * span > LARGEST:
        return None
    codes, order = (keys.sequence * span + keys.ids - least).sort()
    if bool((codes[1:] == codes[:-1]).any()):
        return None
    seen = keys if queries is keys else _look_up(queries, keys, codes, order, least, most)
    length = queries.stop - queries.first
    ends = (end.repeat_interleave(length).view(q_ids.shape) for end in (seen.first, seen.stop))
    return Range(*ends)


class _Ranges(NamedTuple):
    """Ranges of equal ids in sequences of them: their ids, sequences, first and stop there."""

    ids: Tensor
    sequence: Tensor
    first: Tensor
    stop: Tensor


def _ranges(ids: Tensor) -> _Ranges:
    length = ids.shape[-1]
    ids = ids.reshape(-1, length)
    starts = torch.ones_like(ids, dtype=torch.bool)
    torch.ne(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    begin = starts.flatten().nonzero().squeeze(-1)
    end = torch.cat([begin[1:], begin.new_tensor([ids.numel()])])
    sequence = begin // length
    start = sequence * length
    return _Ranges(ids.flatten()[begin].long(), sequence, begin - start, end - start)


def _is_same(x: Tensor, y: Tensor) -> bool:
    """Tell whether two tensors are one in memory."""
    return x.data_ptr() == y.data_ptr() and (x.shape, x.stride()) == (y.shape, y.stride())


def _look_up(
    queries: _Ranges, keys: _Ranges, codes: Tensor, order: Tensor, least: int, most: int
) -> Range:
    """Return the range of keys for each range of queries.

    Args:
        queries: ranges of queries.
        keys: ranges of keys.
        codes: the ranges of keys as numbers of sequence and id, sorted.
        order: which range stands where among them.
        least: the least id of a key.
        most: the largest.

    """
    known = (queries.ids >= least) & (queries.ids <= most)
    wanted = queries.sequence * (most - least + 1) + torch.where(known, queries.ids - least, 0)
    at = torch.searchsorted(codes, wanted).clamp(max=len(codes) - 1)
    match, exists = order[at], known & (codes[at] == wanted)
    first, stop = (torch.where(exists, end[match], 0) for end in (keys.first, keys.stop))
    return Range(first, stop)
