"""Evaluate a row expression over all points of a call at once: one box of Python numbers.

No tensor operation runs, so that it takes microseconds. Ints and booleans are followed; of floats
nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from maskc.analysis.intervals.domain import (
    ANY_INT,
    OPEN,
    Bounds,
    Truth,
    conjunction,
    disjunction,
)
from maskc.analysis.intervals.evaluate import Evaluation
from maskc.ir.domain import EXTENTS
from maskc.ir.nodes import (
    And,
    Compare,
    Expr,
    Index,
    Input,
    Load,
    Not,
    Or,
    Same,
    TopK,
    children,
)
from maskc.ir.types import Ix, Sz, Type
from maskc.passes.support.constraint import Constraint, Kind, constraint

Range = tuple[int, int]
"""The least and the largest element of an input; of booleans, 0 and 1."""


def between(lo: int, hi: int) -> Bounds:
    """Return the bounds of an int, exact where both ends are one."""
    return Bounds(lo, lo if lo == hi else hi, max(abs(lo), abs(hi)))


def call_box(sizes: Mapping[Sz, int]) -> dict[Ix, Bounds]:
    """Return all rows of a call."""
    return {which: between(0, sizes[size] - 1) for which, size in EXTENTS.items()}


class KnownRanges:
    """What is known of inputs by their least and largest elements; of others, nothing."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._ranges = ranges

    def numbers(self, source: Input, places: Sequence[Bounds]) -> Bounds:
        """Return the bounds of every element."""
        known = self._ranges.get(source.name)
        return ANY_INT if known is None else between(*known)

    def booleans(self, source: Input, places: Sequence[Bounds]) -> Truth:
        """Return what is known of every element."""
        least, most = self._ranges.get(source.name, (0, 1))
        return Truth(least == 1, most == 0)


class WholeCall(Evaluation):
    """Ints and booleans over all points of a call.

    A comparison is bounded as one linear form in Python ints, which do not overflow, and
    connectives are not kept: both are most of the time of binding one step of a decode loop. An
    index that has no interval in ``box`` is any row of the call.
    """

    __slots__ = ()

    def truth(self, expr: Expr) -> Truth:
        """Return what is known of a boolean; one made of floats or by a selection is open."""
        match expr:
            case And(args):
                return conjunction([self.truth(arg) for arg in args])
            case Or(args):
                return disjunction([self.truth(arg) for arg in args])
            case Not(arg):
                return ~self.truth(arg)
            case Compare() if (compared := _compared(Same(expr))) is not None:
                return self._bounded(compared)
            case TopK():
                return OPEN
            case _:
                return OPEN if _reads_floats(expr) else super().truth(expr)

    def number(self, expr: Expr) -> Bounds:
        """Return the bounds of an int; one made of floats may be any."""
        match expr:
            case Index(which):
                return self.box.get(which) or between(0, self.sizes[EXTENTS[which]] - 1)
            case Load(source, _) if expr.type is Type.INT:
                return self.reads.numbers(source, ())
            case _:
                return ANY_INT if _reads_floats(expr) else super().number(expr)

    def _bounded(self, compared: Constraint) -> Truth:
        """Return what is known of a comparison of ints."""
        lo = hi = compared.form.constant
        for term, factor in compared.form.terms:
            bounds = self.number(term)
            if bounds is ANY_INT:
                return OPEN
            least, most = factor * bounds.lo, factor * bounds.hi
            lo, hi = (lo + least, hi + most) if factor > 0 else (lo + most, hi + least)
        match compared.kind:
            case Kind.GE:
                return Truth(lo >= 0, hi < 0)
            case Kind.EQ:
                return Truth(lo == hi == 0, lo > 0 or hi < 0)
            case Kind.NE:
                return Truth(lo > 0 or hi < 0, lo == hi == 0)


def whole_call(sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> WholeCall:
    """Return what evaluates row expressions over all points of a call.

    Args:
        sizes: of the call.
        ranges: of the inputs whose elements are known.

    """
    return WholeCall(sizes, {}, KnownRanges(ranges))


@lru_cache(maxsize=4096)
def _compared(expr: Same) -> Constraint | None:
    """Return ``constraint``, looked up by the term itself: equal terms take longer to compare."""
    return constraint(expr.expr)


def _reads_floats(expr: Expr) -> bool:
    """Tell whether a term is made of floats directly."""
    return expr.type is Type.FLOAT or any(kid.type is Type.FLOAT for kid in children(expr))
