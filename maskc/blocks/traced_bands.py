"""The tiles of a mask that is bound within a trace.

Bands are constants of a trace, and so are the sizes then. A part of the mask that reads no tensor
has the same bands whatever the tensors are; what is left of the mask is applied within them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import count
from operator import index

from maskc.analysis.bands import Band, Part, Parts, Rest, from_text, to_text
from maskc.binding.bind import BoundMask
from maskc.binding.call import CallSpec
from maskc.binding.signature import without_tensors
from maskc.blocks.mask_blocks import MaskBlocks
from maskc.ir.nodes import TRUE, Expr, inputs
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower.constant_in_trace import constant_in_trace

_masks: dict[int, tuple[Expr, CallSpec]] = {}
_numbers = count()


def numbered(mask: Expr, spec: CallSpec) -> int:
    """Return a number by which a trace finds the bands of a mask over rows."""
    number = next(_numbers)
    _masks[number] = mask, spec
    return number


@lru_cache(maxsize=256)
def _text(number: int, sizes: tuple[int, ...], long: bool) -> str:
    mask, spec = _masks[number]
    spec = replace(spec, sizes=dict(zip(Sz, sizes, strict=True)))
    is_whole, part = not inputs(mask), without_tensors(mask)
    bound = BoundMask(TRUE if part is None else part, Domain(spec.sizes, {}, spec.device))
    parts = MaskBlocks(bound, spec).bands(long and is_whole)
    return to_text(parts if is_whole else tuple(map(_masked, parts)))


def _masked(part: Part) -> Part:
    """Return the same bands, each with a mask of its own."""
    bands = tuple(Band(band.window, Rest.MASK, band.window) for band in part.bands)
    return replace(part, bands=bands)


def _locate(number: int, sizes: tuple[int, ...], long: bool) -> str:
    return _text(number, sizes, long)


_text_in_trace = constant_in_trace(_locate)


class TracedMaskBlocks(MaskBlocks):
    """The tiles of a mask that is bound within a trace."""

    def __init__(self, mask: BoundMask, spec: CallSpec, number: int, is_fixed: bool) -> None:
        self._mask = mask
        self._spec = spec
        self._number = number
        self._is_fixed = is_fixed

    @property
    def is_fresh(self) -> bool:
        """True: a trace cannot tell."""
        return True

    def traced_bands(self, long: bool) -> Parts:
        """Return the bands as constants of the trace."""
        sizes = tuple([index(self._spec.sizes[which]) for which in Sz])
        return from_text(_text_in_trace(self._number, sizes, long))

    def has_lasting_bands(self, long: bool) -> bool:
        """Tell whether they are those of every binding of these sizes."""
        return self._is_fixed
