"""What a row program runs over: tensors and sizes. No torch is needed to speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskc.ir.types import Ix, Sz

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EXTENTS = {
    Ix.BATCH: Sz.BATCH_SIZE,
    Ix.HEAD: Sz.NUM_HEADS,
    Ix.Q_IDX: Sz.Q_LEN,
    Ix.KV_IDX: Sz.KV_LEN,
}
"""How many rows each index of a row program has."""

ROW_INDICES = tuple(EXTENTS)


@dataclass(frozen=True, slots=True)
class Domain:
    """The tensors and sizes that a row program runs over."""

    sizes: Mapping[Sz, int]
    tensors: Mapping[str, Tensor]
    device: torch.device

    @property
    def extents(self) -> tuple[int, int, int, int]:
        """How many rows each index of the row program has, in the order of ``ROW_INDICES``."""
        sizes = self.sizes
        return (
            sizes[Sz.BATCH_SIZE],
            sizes[Sz.NUM_HEADS],
            sizes[Sz.Q_LEN],
            sizes[Sz.KV_LEN],
        )

    def extent(self, which: Ix) -> int:
        """Return how many rows an index of the row program has."""
        return self.sizes[EXTENTS[which]]


@dataclass(frozen=True, slots=True)
class ArrayDomain(Domain):
    """A domain whose tensors are arrays of numpy, and nothing that is asked of it needs torch."""
