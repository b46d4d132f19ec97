"""Bounds of int arithmetic: exact at the ends, and unknown as soon as 64 bits may not hold it.

``//`` and ``%`` floor, and a divisor of 0 is taken as 1, as ``maskc.ir.vectorize`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product as product_of
from typing import assert_never

from maskc.analysis.intervals.domain import (
    ANY_INT,
    Bounds,
    Operand,
    both,
    greatest,
    least,
    select,
)
from maskc.ir import vectorize
from maskc.ir.operators import Even, Falls, Fn, Monotone, Rises, Within
from maskc.limits import MAX_INT64


def total(terms: list[tuple[int, Bounds]], constant: int, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``sum(factor * term) + constant`` of terms that vary on their own."""
    reach = sum(abs(factor) * term.reach for factor, term in terms) + abs(constant)
    if reach > most:
        return ANY_INT
    lo = _sum([_times(factor, term.lo if factor > 0 else term.hi) for factor, term in terms])
    if all(term.exact for _, term in terms):
        value = _plus(lo, constant)
        return Bounds(value, value, reach)
    hi = _sum([_times(factor, term.hi if factor > 0 else term.lo) for factor, term in terms])
    return Bounds(_plus(lo, constant), _plus(hi, constant), reach)


def product(a: Bounds, b: Bounds, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``a * b``."""
    reach = a.reach * b.reach
    if reach > most:
        return ANY_INT
    return _scaled(lambda x, y: x * y, a, b, reach)


def quotient(a: Bounds, b: Bounds, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``a // b``.

    With a divisor of one sign the quotient is monotone in both, so it is extreme at the corners.
    Otherwise it lies within ``[-m, m]`` for the largest ``m = max(|a|, 1)``.
    """
    if max(a.reach, b.reach) > most:
        return ANY_INT
    divisor = Bounds(_nonzero(b.lo), _nonzero(b.hi), b.reach)
    if b.exact:
        divisor = Bounds(divisor.lo, divisor.lo, b.reach)
    ends = _scaled(lambda x, y: x // y, a, divisor, a.reach + 1)
    mixed = both(b.lo <= 0, b.hi >= 0)
    if mixed is False or b.exact:
        return ends
    size = greatest(greatest(a.hi, -a.lo), 1)
    return Bounds(select(mixed, -size, ends.lo), select(mixed, size, ends.hi), a.reach + 1)


def remainder(a: Bounds, b: Bounds, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``a % b``: exact where ``a`` lies in one period of one divisor."""
    if max(a.reach, b.reach) > most:
        return ANY_INT
    lo, hi = least(b.lo + 1, 0), greatest(b.hi - 1, 0)
    divisor = _nonzero(b.lo)
    if a.exact and b.exact:
        value = a.lo % divisor
        return Bounds(value, value, b.reach)
    one = both(True if b.exact else b.lo == b.hi, a.lo // divisor == a.hi // divisor)
    return Bounds(select(one, a.lo % divisor, lo), select(one, a.hi % divisor, hi), b.reach)


def power(a: Bounds, exponent: int, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``a ** exponent``, for a constant of at least 0."""
    reach = max(1, a.reach) if exponent < 2 else max(1, a.reach) ** min(exponent, 64)
    if reach > most:
        return ANY_INT
    base = a if exponent % 2 else absolute(a, most)
    lo = base.lo**exponent
    return Bounds(lo, lo if base.exact else base.hi**exponent, reach)


def absolute(a: Bounds, most: int = MAX_INT64) -> Bounds:
    """Return the bounds of ``abs(a)``."""
    if a.reach > most:
        return ANY_INT
    if a.exact:
        value = abs(a.lo)
        return Bounds(value, value, a.reach)
    return Bounds(greatest(greatest(a.lo, -a.hi), 0), greatest(a.hi, -a.lo), a.reach)


def function(fn: Fn, args: Sequence[Bounds], most: int = MAX_INT64) -> Bounds:
    """Return the bounds of a function of ints that gives an int."""
    reach = ANY_INT.reach if fn.value.reach is None else fn.value.reach(*(a.reach for a in args))
    if reach > most:
        return ANY_INT
    lows, highs = [a.lo for a in args], [a.hi for a in args]
    if all(a.exact for a in args):
        value = vectorize.function(fn, lows)
        return Bounds(value, value, reach)
    match fn.value.shape:
        case None | Within():
            return Bounds(-reach, reach, reach)
        case Rises():
            return Bounds(vectorize.function(fn, lows), vectorize.function(fn, highs), reach)
        case Falls():
            return Bounds(vectorize.function(fn, highs), vectorize.function(fn, lows), reach)
        case Even():
            size = absolute(args[0], most)
            lo, hi = (vectorize.function(fn, [end]) for end in (size.lo, size.hi))
            return Bounds(lo, hi, reach)
        case Monotone():
            return _corners(lambda *ends: vectorize.function(fn, ends), args, reach)
        case shape:
            assert_never(shape)


def _scaled(
    function: Callable[[Operand, Operand], Operand], a: Bounds, b: Bounds, reach: int
) -> Bounds:
    """Return the bounds of a product or a quotient; a constant tells which end is which."""
    if not b.exact or not isinstance(b.lo, int) or a.exact:
        return _corners(function, [a, b], reach)
    lo, hi = function(a.lo, b.lo), function(a.hi, b.lo)
    return Bounds(lo, hi, reach) if b.lo >= 0 else Bounds(hi, lo, reach)


def _corners(function: Callable[..., Operand], args: Sequence[Bounds], reach: int) -> Bounds:
    """Return the bounds of a function that is monotone in each argument: extreme at corners."""
    if all(arg.exact for arg in args):
        value = function(*(arg.lo for arg in args))
        return Bounds(value, value, reach)
    ends = [(arg.lo,) if arg.exact else (arg.lo, arg.hi) for arg in args]
    lo, *others = [function(*corner) for corner in product_of(*ends)]
    hi = lo
    for value in others:
        lo, hi = least(lo, value), greatest(hi, value)
    return Bounds(lo, hi, reach)


def _nonzero(divisor: Operand) -> Operand:
    return (divisor or 1) if isinstance(divisor, int) else select(divisor == 0, 1, divisor)


def _sum(parts: list[Operand]) -> Operand:
    result: Operand = 0
    for part in parts:
        result = _plus(result, part)
    return result


def _plus(a: Operand, b: Operand) -> Operand:
    if isinstance(b, int) and b == 0:
        return a
    return b if isinstance(a, int) and a == 0 else a + b


def _times(factor: int, x: Operand) -> Operand:
    return x if factor == 1 else -x if factor == -1 else factor * x
