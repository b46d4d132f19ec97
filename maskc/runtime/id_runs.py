"""Equal ids as runs of keys: packed documents, whose tokens stand side by side in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2**62
"""Ids whose range times the number of sequences is above this are left alone."""


class Range(NamedTuple):
    """The keys of each query: the first, and the one after the last; int64, equal for none."""

    first: Tensor
    stop: Tensor


def id_runs(q_ids: Tensor, k_ids: Tensor) -> Range | None:
    """Return for each query the run of keys with its id, or None if some id has several runs.

    That is looked up in the list of runs, in ``O(Q + K)`` and a sort of the runs, which are few.

    Args:
        q_ids: ints ``[..., Q]``.
        k_ids: ints ``[..., K]``, of the same leading dimensions.

    """
    import torch

    shape, keys = q_ids.shape, k_ids.shape[-1]
    q_ids, k_ids = q_ids.reshape(-1, shape[-1]).long(), k_ids.reshape(-1, keys).long()
    rows = len(k_ids)
    least, most = (int(x) for x in k_ids.aminmax())
    span = most - least + 1
    if rows * span > LARGEST:
        return None
    starts = torch.ones_like(k_ids, dtype=torch.bool)
    torch.ne(k_ids[:, 1:], k_ids[:, :-1], out=starts[:, 1:])
    begin = starts.flatten().nonzero().squeeze(-1)
    end = torch.cat([begin[1:], begin.new_tensor([rows * keys])])
    row = begin // keys
    codes, order = (row * span + k_ids.flatten()[begin] - least).sort()
    if bool((codes[1:] == codes[:-1]).any()):
        return None
    own = torch.arange(rows, device=q_ids.device)[:, None]
    known = (q_ids >= least) & (q_ids <= most)
    wanted = own * span + torch.where(known, q_ids, least) - least
    place = torch.searchsorted(codes, wanted).clamp(max=len(codes) - 1)
    found = known & (codes[place] == wanted)
    first, stop = (torch.where(found, x[order[place]] - own * keys, 0) for x in (begin, end))
    return Range(first.view(shape), stop.view(shape))
