"""A step of decoding to SDPA: one query, on the slice of the keys that it sees.

A step is short, so nothing is asked here that was known when it was bound. Query heads that share
a key head are given as the rows of one: SDPA on CPU reads the keys of each head anew, and so once
and not once a query head (measured: half the time with 4 heads over 1, 1k to 4k keys).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from maskc.lower.one_query.cells import Cells, cells_of, hold_finite


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the one query of a call sees.

    Attributes:
        first: of the slice of keys that holds all it sees.
        stop: the key after the last.
        mask: which of them, booleans ``[B | 1, H | 1, 1, stop - first]``; None for all.

    """

    first: int
    stop: int
    mask: Tensor | None
    _hidden: list[Cells | None] = field(default_factory=list, repr=False)

    def hidden(self, heads: int) -> Cells | None:
        """Return the keys of the slice that no query of their head sees, looked for once.

        Args:
            heads: of the keys.

        """
        if not self._hidden:
            self._hidden.append(None if self.mask is None else cells_of(self.mask, heads))
        return self._hidden[0]


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seen: Seen,
    scale: float | None,
    is_finite: bool = False,
) -> Tensor:
    """Return the attention of one query ``[B, H, 1, Dv]``.

    Args:
        q: the query ``[B, H, 1, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        seen: what it sees of them.
        scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.
        is_finite: whether k and v surely hold finite numbers where the query does not look.

    """
    count = seen.stop - seen.first
    if count < k.shape[2]:
        k, v = k.narrow(2, seen.first, count), v.narrow(2, seen.first, count)
    hidden = None if is_finite else seen.hidden(k.shape[1])
    if hidden is not None and not hold_finite(hidden, k, v):
        k, v = hidden.zeroed(k), hidden.zeroed(v)
    if q.shape[1] == k.shape[1]:
        return F.scaled_dot_product_attention(q, k, v, seen.mask, scale=scale)
    rows, mask = (_by_key_head(x, k.shape[1]) for x in (q, seen.mask))
    out = F.scaled_dot_product_attention(rows, k, v, mask, scale=scale)
    return out.reshape(*q.shape[:3], v.shape[3])


def _by_key_head(x: Any, heads: int) -> Any:
    """Return ``[B, H, 1, ...]`` as ``[B, Hkv, H / Hkv, ...]``; one for all heads stays as it is."""
    return x if x is None or x.shape[1] == 1 else x.reshape(len(x), heads, -1, x.shape[3])
