"""Ranges of keys whose ends are lines over the query rows, or stairs along lines.

So are causal masks, windows, chunks, and offsets of them all. The keys of a row are then
``first(q) <= k < stop(q)``, ``first`` the largest of some lines and stairs and ``stop`` the least
of others. None falls, so a stretch of rows is told by its first row and its last. A stair lies
between two lines, and the distance of two lines is least at an end of the call: what holds there
holds between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.bound import Floored, Relation, bound, floored
from maskc.analysis.key_ranges.derive import spelled_out
from maskc.analysis.key_ranges.ranges import Array
from maskc.ir.linear import Linear
from maskc.ir.nodes import And, Expr, Size
from maskc.ir.rows import Q_ROW
from maskc.ir.types import Sz


class End(NamedTuple):
    """``slope * ((q + shift) // step * step) + constant``: a line where the step is 1.

    The slope is at least 0.
    """

    slope: int
    step: int
    shift: int
    constant: int

    @property
    def above(self) -> int:
        """The constant of the lowest line of the same slope that is nowhere below."""
        return self.constant + self.slope * self.shift

    @property
    def below(self) -> int:
        """The constant of the highest line of the same slope that is nowhere above."""
        return self.above - self.slope * (self.step - 1)

    def along(self, rows: Array) -> Array | int:
        """Return it at some rows; a number stands for all."""
        if not self.slope:
            return self.constant
        if self.step == 1:
            return (rows if self.slope == 1 else self.slope * rows) + self.above
        return (rows + self.shift) // self.step * (self.slope * self.step) + self.constant


class OpenEnd(NamedTuple):
    """An end whose constant is a form of the sizes of the call."""

    slope: int
    step: int
    shift: int
    constant: Linear

    def at(self, sizes: Mapping[Sz, int]) -> End:
        """Return the end in a call."""
        result = self.constant.constant
        for term, factor in self.constant.terms:
            assert isinstance(term, Size)
            result += factor * sizes[term.which]
        return End(self.slope, self.step, self.shift, result)


class Lines(NamedTuple):
    """What bounds the keys of a row from below, and what bounds the key after its last."""

    first: tuple[OpenEnd, ...]
    stop: tuple[OpenEnd, ...]

    def at(self, sizes: Mapping[Sz, int]) -> Ends:
        """Return the ends of ranges in a call."""
        return Ends(
            [End(0, 1, 0, 0), *[end.at(sizes) for end in self.first]],
            [End(0, 1, 0, sizes[Sz.KV_LEN]), *[end.at(sizes) for end in self.stop]],
        )


class Ends(NamedTuple):
    """The ends in one call, within its keys."""

    first: list[End]
    stop: list[End]

    def meet(self, q_len: int) -> bool:
        """Tell whether each row surely has a key, and its keys overlap or touch the next row's."""
        last = q_len - 1
        for first in self.first:
            for stop in self.stop:
                length, growth = stop.below - first.above, stop.slope - first.slope
                if min(length, length + growth * last) < 1:
                    return False
                overlap = length - first.slope
                if last and min(overlap, overlap + growth * (last - 1)) < 0:
                    return False
        return True

    def over(self, rows: Array) -> tuple[Array | int, Array | int]:
        """Return the first keys of rows and the keys after their last; a number stands for all."""
        first, stop = ([end.along(rows) for end in ends] for ends in self)
        return reduce(np.maximum, first), reduce(np.minimum, stop)


@lru_cache(maxsize=1024)
def lines(mask: Expr) -> Lines | None:
    """Return the ends of the keys of a row, None for other masks over rows."""
    first: list[OpenEnd] = []
    stop: list[OpenEnd] = []
    for arg in _conjuncts(mask):
        compared = bound(arg, True)
        if compared is None or compared.row is None or compared.factor != 1:
            return None
        row, query = compared.row, compared.query
        begin, end = _end(row, query), _end(row, query.shifted(1))
        if begin is None or end is None or compared.relation is Relation.UNEQUAL:
            return None
        if compared.relation is not Relation.AT_MOST:
            first.append(begin)
        if compared.relation is not Relation.AT_LEAST:
            stop.append(end)
    return Lines(tuple(first), tuple(stop))


def _conjuncts(mask: Expr) -> Iterator[Expr]:
    """Yield what must hold, comparisons of absolute values as two."""
    whole = mask if isinstance(mask, And) else spelled_out(mask)
    if isinstance(whole, And):
        for arg in whole.args:
            yield from _conjuncts(arg)
    else:
        yield mask


def _end(row: Floored, query: Linear) -> OpenEnd | None:
    """Return the first key whose row, floored, is at least the query's side."""
    form = query.times(row.divisor).shifted(-row.shift)
    constant = Linear(
        tuple(item for item in form.terms if isinstance(item[0], Size)), form.constant
    )
    match [item for item in form.terms if not isinstance(item[0], Size)]:
        case []:
            return OpenEnd(0, 1, 0, constant)
        case [(term, factor)] if factor > 0:
            stair = floored(Linear(((term, 1),), 0), Q_ROW)
            if stair is not None and factor % stair.divisor == 0:
                return OpenEnd(factor // stair.divisor, stair.divisor, stair.shift, constant)
    return None
