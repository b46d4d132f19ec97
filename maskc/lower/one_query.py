"""A step of decoding to SDPA: one query, on the slice of the keys that it sees.

A step is short, so nothing is asked here that was known when it was bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from maskc.lower.unseen_keys import Cells, zeroed_unless_finite


@dataclass(frozen=True, slots=True)
class Seen:
    """What the one query of a call sees.

    Attributes:
        first: of the slice of keys that holds all it sees.
        stop: the key after the last.
        mask: which of them, booleans ``[B | 1, H | 1, 1, stop - first]``; None for all.
        hidden: where the keys of the slice lie that some head of the keys sees nowhere.

    """

    first: int
    stop: int
    mask: Tensor | None
    hidden: Cells | None


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Seen, scale: float | None) -> Tensor:
    """Return the attention of one query ``[B, H, 1, Dv]``.

    Args:
        q: the query ``[B, H, 1, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        seen: what it sees of them.
        scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.

    """
    count = seen.stop - seen.first
    if count < k.shape[2]:
        k, v = k.narrow(2, seen.first, count), v.narrow(2, seen.first, count)
    if seen.hidden is not None:
        k, v = (zeroed_unless_finite(x, seen.hidden) for x in (k, v))
    is_grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, seen.mask, scale=scale, enable_gqa=is_grouped)
