"""Equal ids as runs of keys: packed documents, whose tokens stand side by side in any order."""

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
    """Return for each query the run of keys with its id, or None if some id has several runs.

    That is looked up run by run, in ``O(Q + K)`` and a sort of the runs of keys, which are few.

    Args:
        q_ids: ints ``[..., Q]``.
        k_ids: ints ``[..., K]``, of the same leading dimensions.

    """
    keys = _runs(k_ids)
    queries = keys if _is_same(q_ids, k_ids) else _runs(q_ids)
    least, most = (int(x) for x in keys.ids.aminmax())
    span = most - least + 1
    if (int(keys.line[-1]) + 1) * span > LARGEST:
        return None
    codes, order = (keys.line * span + keys.ids - least).sort()
    if bool((codes[1:] == codes[:-1]).any()):
        return None
    found = keys if queries is keys else _looked_up(queries, keys, codes, order, least, most)
    length = queries.stop - queries.first
    ends = (end.repeat_interleave(length).view(q_ids.shape) for end in (found.first, found.stop))
    return Range(*ends)


class _Runs(NamedTuple):
    """Runs of equal ids in lines of them: their ids, lines, and places in the line."""

    ids: Tensor
    line: Tensor
    first: Tensor
    stop: Tensor


def _runs(ids: Tensor) -> _Runs:
    length = ids.shape[-1]
    ids = ids.reshape(-1, length)
    starts = torch.ones_like(ids, dtype=torch.bool)
    torch.ne(ids[:, 1:], ids[:, :-1], out=starts[:, 1:])
    begin = starts.flatten().nonzero().squeeze(-1)
    end = torch.cat([begin[1:], begin.new_tensor([ids.numel()])])
    line = begin // length
    return _Runs(ids.flatten()[begin].long(), line, begin - line * length, end - line * length)


def _is_same(x: Tensor, y: Tensor) -> bool:
    """Tell whether two tensors are one in memory."""
    return x.data_ptr() == y.data_ptr() and (x.shape, x.stride()) == (y.shape, y.stride())


def _looked_up(
    queries: _Runs, keys: _Runs, codes: Tensor, order: Tensor, least: int, most: int
) -> Range:
    """Return the run of keys for each run of queries.

    Args:
        queries: runs of queries.
        keys: runs of keys.
        codes: the runs of keys as numbers of line and id, sorted.
        order: which run has which place there.
        least: the least id of a key.
        most: the largest.

    """
    known = (queries.ids >= least) & (queries.ids <= most)
    wanted = queries.line * (most - least + 1) + torch.where(known, queries.ids - least, 0)
    place = torch.searchsorted(codes, wanted).clamp(max=len(codes) - 1)
    run, found = order[place], known & (codes[place] == wanted)
    first, stop = (torch.where(found, end[run], 0) for end in (keys.first, keys.stop))
    return Range(first, stop)
