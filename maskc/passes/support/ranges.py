"""What is known of every int before anything is bound.

Rows, heads and batches are at least 0, sizes at least 1; a row is below its length, a coordinate
is -1 or below its axis, ``x % n`` lies in ``[0, n)``. Nothing is assumed of ``q`` and ``k``:
logical positions can be shifted, and those of padding on the left are below 0. ``head`` has no
upper bound either: a rank of tensor parallelism holds heads from an offset on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import (
    Arith,
    Call,
    Coord,
    Expr,
    Index,
    IntConst,
    Size,
    Where,
)
from maskc.ir.operators import ArithOp, Even, Falls, Fn, Gives, Rises
from maskc.ir.types import Ix, Sz, Type

Range = tuple[int | None, int | None]
"""The least and the largest value, both included; None where there is none."""

ANY: Range = (None, None)

Lowest = Callable[[Linear], int | None]
"""A number that a form is never below at some place, None if there is none; see ``lowest``."""

_LARGEST = {
    Index(Ix.Q_IDX): Linear(((Size(Sz.Q_LEN), 1),), -1),
    Index(Ix.KV_IDX): Linear(((Size(Sz.KV_LEN), 1),), -1),
    Index(Ix.BATCH): Linear(((Size(Sz.BATCH_SIZE), 1),), -1),
    Index(Ix.KV_HEAD): Linear(((Index(Ix.HEAD), 1),), 0),
    Size(Sz.NUM_KV_HEADS): Linear(((Size(Sz.NUM_HEADS), 1),), 0),
}
"""The largest value of an index or a size, where it is another one of the call."""


def lowest(form: Linear) -> int | None:
    """Return a lower bound of the form, None if there is none."""
    for term, factor in form.terms:
        if factor < 0 and term in _LARGEST:
            return lowest(form.without(term).plus(_LARGEST[term], factor))
    total = form.constant
    for term, factor in form.terms:
        low, high = known(term)
        bound = low if factor > 0 else high
        if bound is None:
            return None
        total += factor * bound
    return total


def highest(form: Linear) -> int | None:
    """Return an upper bound of the form, None if there is none."""
    low = lowest(-form)
    return None if low is None else -low


def range_of(expr: Expr) -> Range:
    """Return the range of any int expression."""
    form = linear(expr)
    return lowest(form), highest(form)


@lru_cache(maxsize=8192)
def known(term: Expr) -> Range:
    """Return the range of an int term other than a sum."""
    match term:
        case IntConst(value):
            return value, value
        case Index(Ix.Q | Ix.K):
            return ANY
        case Index():
            return 0, None
        case Size():
            return 1, None
        case Coord(_, axis):
            return -1, axis.size - 1
        case Arith(ArithOp.MOD, value, IntConst(n)) if n > 0:
            return _remainder(range_of(value), n)
        case Arith(ArithOp.FLOORDIV, value, IntConst(n)) if n > 0:
            low, high = range_of(value)
            return (None if low is None else low // n), (None if high is None else high // n)
        case Arith(ArithOp.MOD | ArithOp.FLOORDIV | ArithOp.MUL, left, right):
            positive = _at_least(left, 0) and _at_least(right, 0 if term.op is ArithOp.MUL else 1)
            return (0, None) if positive and term.type is Type.INT else ANY
        case Call(fn, args) if term.type is Type.INT:
            return _call(fn, args)
        case Where(_, then, other) if term.type is Type.INT:
            return _hull([range_of(then), range_of(other)])
        case _:
            return ANY


def _remainder(value: Range, n: int) -> Range:
    low, high = value
    if low is not None and high is not None and low >= 0 and high < n:
        return value
    return 0, n - 1


def _at_least(expr: Expr, least: int) -> bool:
    low = range_of(expr)[0]
    return low is not None and low >= least


def _call(fn: Fn, args: Sequence[Expr]) -> Range:
    if any(arg.type is not Type.INT for arg in args):
        return (0, 1) if args[0].type is Type.BOOL else ANY
    ranges = [range_of(arg) for arg in args]
    if fn.value.gives is Gives.ROUNDED:
        return ranges[0]  # ints are rounded already
    lows = [-math.inf if low is None else low for low, _ in ranges]
    highs = [math.inf if high is None else high for _, high in ranges]
    match fn.value.shape:
        case Rises():
            return _finite(fn.value.scalar(*lows), fn.value.scalar(*highs))
        case Falls():
            return _finite(fn.value.scalar(*highs), fn.value.scalar(*lows))
        case Even():
            nearest, furthest = max(lows[0], -highs[0], 0), max(highs[0], -lows[0])
            return _finite(fn.value.scalar(nearest), fn.value.scalar(furthest))
        case _:
            return _within_reach(fn, [*lows, *highs])


def _within_reach(fn: Fn, ends: Sequence[float]) -> Range:
    """Return the range of a function of which only its size is known."""
    if fn.value.reach is None or any(map(math.isinf, ends)):
        return ANY
    count = len(ends) // 2
    sizes = (max(abs(low), abs(high)) for low, high in zip(ends[:count], ends[count:], strict=True))
    reach = fn.value.reach(*map(int, sizes))
    return -reach, reach


def _finite(low: float, high: float) -> Range:
    return (None if math.isinf(low) else int(low)), (None if math.isinf(high) else int(high))


def _hull(ranges: Sequence[Range]) -> Range:
    lows = [low for low, _ in ranges if low is not None]
    highs = [high for _, high in ranges if high is not None]
    complete = len(lows) == len(ranges), len(highs) == len(ranges)
    return (min(lows) if complete[0] else None), (max(highs) if complete[1] else None)
