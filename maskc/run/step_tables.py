"""The tensors that the steps of a decode loop read, which may grow with the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from maskc.analysis.intervals.whole_call import whole_call
from maskc.analysis.key_ranges.ranges import Array
from maskc.analysis.key_ranges.row_terms import Affine, Row, affine
from maskc.ir.nodes import Expr, Load
from maskc.ir.rows import BATCH, HEAD
from maskc.ir.types import Dim


@dataclass(frozen=True, slots=True)
class Table:
    """A tensor that the mask reads, and its memory as an array."""

    tensor: Tensor
    array: Array

    def is_like(self, other: Tensor, fixed: frozenset[int]) -> bool:
        """Tell whether another tensor can take its place without a change of the program.

        Args:
            other: the tensor.
            fixed: the dimensions that run over batches or heads, whose number stays.

        """
        mine = self.tensor
        if type(other) is not Tensor or other.dtype is not mine.dtype or other.dim() != mine.dim():
            return False
        if other.device != mine.device or other.is_inference() or not other.numel():
            return False
        pairs = enumerate(zip(mine.shape, other.shape, strict=True))
        return all(a == b or (dim not in fixed and a > 1 < b) for dim, (a, b) in pairs)


@dataclass(frozen=True, slots=True)
class Read:
    """A subscript of an input.

    Attributes:
        name: of the input.
        dim: which of its subscripts.
        index: the subscript.
        form: as an affine form; None where it is more than that.

    """

    name: str
    dim: int
    index: Expr
    form: Affine | None

    def is_inside(self, row: Row, offsets: Mapping[str, int]) -> bool:
        """Tell whether it surely stays within its dimension."""
        size: int = row.arrays[self.name].shape[self.dim]
        if self.form is not None:
            first, stop = self.form.reach(row)
            return first >= 0 and stop <= size
        ranges = {name: (n, n) for name, n in offsets.items()}
        bounds = whole_call(row.sizes, ranges).number(self.index)
        return bool(bounds.lo >= 0 and bounds.hi < size)


def table(tensor: Tensor) -> Table:
    """Return a tensor with its memory."""
    return Table(tensor, tensor.detach().numpy())


def counted_dims(name: str, loads: Iterable[Load]) -> Iterator[int]:
    """Yield the dimensions of an input whose subscripts run over batches or heads."""
    for load in loads:
        for dim, index in enumerate(load.indices):
            if load.input.name == name and not index.deps & (Dim.Q | Dim.K):
                yield dim


def reads(loads: Iterable[Load]) -> Iterator[Read]:
    """Yield the subscripts that may leave their inputs; batches and heads were counted."""
    for load in loads:
        for dim, index in enumerate(load.indices):
            if index not in (BATCH, HEAD):
                yield Read(load.input.name, dim, index, affine(index))
