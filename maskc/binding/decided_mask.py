"""A bound mask as its call decides it: what always holds is left out.

Sizes and offsets that are numbers never change, so what they decide holds for the binding, and in
a trace. What tensors decide (one document in the whole batch) holds until one is changed in place;
who keeps it compares their versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache

from torch import Tensor

from maskc.analysis.intervals.whole_call import Range
from maskc.binding.bind import BoundMask
from maskc.ir.nodes import Expr, Same, inputs
from maskc.ir.types import Sz, Type
from maskc.lower.specialise import specialise

MOST_ELEMENTS = 2**22
"""Tensors of more elements are not looked into: it would cost more than it may save."""


class DecidedMask:
    """What a call leaves of its mask.

    Attributes:
        mask: the bound mask.
        numbers: offsets that were given as numbers, by name.

    """

    def __init__(self, mask: BoundMask, numbers: Mapping[str, int]) -> None:
        self.mask = mask
        self._known = {name: (value, value) for name, value in numbers.items()}
        sizes = tuple(mask.domain.sizes.items())
        self.by_sizes = _left_by_sizes(Same(mask.expr), sizes, tuple(self._known.items()))

    @cached_property
    def by_tensors(self) -> Expr:
        """What sizes, offsets and the elements of the tensors leave of the mask."""
        ranges = dict(self._known)
        for source in inputs(self.by_sizes):
            tensor = self.mask.domain.tensors[source.name]
            if source.name not in ranges and source.type is not Type.FLOAT and _lasts(tensor):
                ranges[source.name] = _range(tensor)
        if len(ranges) == len(self._known):
            return self.by_sizes
        return specialise(self.by_sizes, self.mask.domain.sizes, ranges)


@lru_cache(maxsize=1024)
def _left_by_sizes(
    mask: Same, sizes: tuple[tuple[Sz, int], ...], known: tuple[tuple[str, Range], ...]
) -> Expr:
    return specialise(mask.expr, dict(sizes), dict(known))


def _lasts(tensor: Tensor) -> bool:
    """Tell whether torch counts the changes of a tensor, and it is small enough to look into."""
    return not tensor.is_inference() and tensor.numel() <= MOST_ELEMENTS


def _range(tensor: Tensor) -> Range:
    low, high = tensor.aminmax()
    return int(low), int(high)
