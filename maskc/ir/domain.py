"""What a row program runs over: tensors and sizes. No torch is needed to speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskc.ir.types import Ix, Sz

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROW_INDICES = (Ix.BATCH, Ix.HEAD, Ix.Q_IDX, Ix.KV_IDX)


@dataclass(frozen=True, slots=True)
class Domain:
    """The tensors and sizes that a row program runs over."""

    sizes: Mapping[Sz, int]
    tensors: Mapping[str, Tensor]
    device: torch.device

    def extent(self, which: Ix) -> int:
        """Return how many rows an index of the row program has."""
        match which:
            case Ix.BATCH:
                return self.sizes[Sz.BATCH_SIZE]
            case Ix.HEAD:
                return self.sizes[Sz.NUM_HEADS]
            case Ix.Q_IDX:
                return self.sizes[Sz.Q_LEN]
            case Ix.KV_IDX:
                return self.sizes[Sz.KV_LEN]
            case _:
                raise AssertionError(f"`{which.value}` is no row index")


@dataclass(frozen=True, slots=True)
class ArrayDomain(Domain):
    """A domain whose tensors are arrays of numpy, and nothing that is asked of it needs torch."""
