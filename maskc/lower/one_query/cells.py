"""Keys that a step of decoding does not look at: what they hold must not matter.

A weight of 0 times NaN is NaN. In padding there are few such keys, and most caches hold finite
numbers in them, so that one look is enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Keys that no query attends to, in a box that is small where they are padding.

    Attributes:
        seen: which keys some query attends to, ``[B | 1, Hkv | 1, K, 1]``.
        batches: from the first batch with a key that is not seen to the last.
        keys: likewise for keys.

    """

    seen: Tensor
    batches: range | None
    keys: range

    def of(self, x: Tensor) -> Tensor:
        """Return the box of keys or values ``[B, Hkv, K, ...]``."""
        part = x.narrow(2, self.keys.start, len(self.keys))
        held = self.batches
        return part if held is None else part.narrow(0, held.start, len(held))

    def zeroed(self, x: Tensor) -> Tensor:
        """Return keys or values with 0 where no query attends."""
        return torch.where(self.seen, x, 0.0)


def cells_of(mask: Tensor, heads: int) -> Cells | None:
    """Return the keys that no query attends to; None where there are none.

    Args:
        mask: booleans ``[B | 1, H | 1, Q, K]`` on CPU.
        heads: of the keys.

    """
    seen: NDArray[np.bool_] = np.logical_or.reduce(mask.numpy(), axis=2)
    if seen.shape[1] not in (1, heads):
        seen = np.logical_or.reduce(seen.reshape(len(seen), heads, -1, seen.shape[2]), axis=2)
    batches, _, places = np.nonzero(~seen)
    if not len(places):
        return None
    held = range(int(batches[0]), int(batches[-1]) + 1) if len(seen) > 1 else None
    keys = range(int(places.min()), int(places.max()) + 1)
    return Cells(torch.from_numpy(seen).unsqueeze(-1), held, keys)


def hold_finite(cells: Cells, k: Tensor, v: Tensor) -> bool:
    """Tell whether keys and values hold finite numbers where no query attends.

    To look takes less time than to copy the rest. A sum is finite only if all that it adds is.
    """
    total = cells.of(k).detach().sum() + cells.of(v).detach().sum()
    return math.isfinite(total.item())
