"""Ranges of keys whose ends are lines over the query rows: causal masks, windows, offsets of both.

The keys of a row are then ``first(q) <= k < stop(q)``, ``first`` the largest of some lines and
``stop`` the least of others. No line falls, so a stretch of rows is told by its first row and its
last; and ``stop - first`` bends down only, so what holds at both ends of a call holds between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.bound import ROW_KEY, Relation, bound
from maskc.analysis.key_ranges.derive import spelled_out
from maskc.analysis.key_ranges.ranges import Array
from maskc.ir.linear import Linear
from maskc.ir.nodes import And, Expr, Size
from maskc.ir.rows import Q_ROW
from maskc.ir.types import Sz

Number = tuple[int, int]
"""The slope and the constant of a line."""


class Line(NamedTuple):
    """``slope * q`` and a form of the sizes of the call; the slope is at least 0."""

    slope: int
    constant: Linear

    def at(self, sizes: Mapping[Sz, int]) -> Number:
        """Return the line in a call."""
        result = self.constant.constant
        for term, factor in self.constant.terms:
            assert isinstance(term, Size)
            result += factor * sizes[term.which]
        return self.slope, result


class Lines(NamedTuple):
    """What bounds the keys of a row from below, and what bounds the key after its last."""

    first: tuple[Line, ...]
    stop: tuple[Line, ...]

    def at(self, sizes: Mapping[Sz, int]) -> Ends:
        """Return the ends of ranges in a call."""
        first = [(0, 0), *(line.at(sizes) for line in self.first)]
        stop = [(0, sizes[Sz.KV_LEN]), *(line.at(sizes) for line in self.stop)]
        last = sizes[Sz.Q_LEN] - 1
        return Ends(_outermost(first, last, 1), _outermost(stop, last, -1))


def _outermost(lines: list[Number], last: int, sign: int) -> tuple[Number, ...]:
    """Return lines without those that another is beyond at row 0 and at the last one."""
    heights = {(slope, c): (sign * c, sign * (slope * last + c)) for slope, c in lines}
    kept = dict(heights)
    for line, (begin, end) in heights.items():
        if any(o[0] >= begin and o[1] >= end for other, o in kept.items() if other != line):
            del kept[line]
    return tuple(kept)


class Ends(NamedTuple):
    """The lines in one call, within its keys."""

    first: tuple[Number, ...]
    stop: tuple[Number, ...]

    def first_at(self, row: int) -> int:
        """Return the first key of a row."""
        return max(slope * row + constant for slope, constant in self.first)

    def stop_at(self, row: int) -> int:
        """Return the key after the last of a row; at most the first key if there is none."""
        return min(slope * row + constant for slope, constant in self.stop)

    def meet(self, q_len: int) -> bool:
        """Tell whether each row has a key, and its keys overlap or touch those of the next."""
        last = q_len - 1
        before = (0, last - 1) if last else ()
        have_keys = all(self.first_at(row) < self.stop_at(row) for row in (0, last))
        return have_keys and all(self.first_at(row + 1) <= self.stop_at(row) for row in before)

    def over(self, rows: Array) -> tuple[Array | int, Array | int]:
        """Return the first keys of rows and the keys after their last; a number stands for all."""
        first, stop = ([_along(rows, *line) for line in end] for end in self)
        return reduce(np.maximum, first), reduce(np.minimum, stop)


def _along(rows: Array, slope: int, constant: int) -> Array | int:
    return (rows if slope == 1 else slope * rows) + constant if slope else constant


@lru_cache(maxsize=1024)
def lines(mask: Expr) -> Lines | None:
    """Return the lines that bound the keys of a row, None for other masks over rows."""
    first: list[Line] = []
    stop: list[Line] = []
    for arg in _conjuncts(mask):
        compared = bound(arg, True)
        if compared is None or compared.key != ROW_KEY or compared.factor != 1:
            return None
        line = _line(compared.query)
        if line is None:
            return None
        match compared.relation:
            case Relation.AT_LEAST:
                first.append(line)
            case Relation.AT_MOST:
                stop.append(Line(line.slope, line.constant.shifted(1)))
            case _:
                return None
    return Lines(tuple(first), tuple(stop))


def _conjuncts(mask: Expr) -> Iterator[Expr]:
    """Yield what must hold, comparisons of absolute values as two."""
    whole = mask if isinstance(mask, And) else spelled_out(mask)
    if isinstance(whole, And):
        for arg in whole.args:
            yield from _conjuncts(arg)
    else:
        yield mask


def _line(form: Linear) -> Line | None:
    slope = sum(factor for term, factor in form.terms if term == Q_ROW)
    constant = tuple(item for item in form.terms if item[0] != Q_ROW)
    if slope < 0 or not all(isinstance(term, Size) for term, _ in constant):
        return None
    return Line(slope, Linear(constant, form.constant))
