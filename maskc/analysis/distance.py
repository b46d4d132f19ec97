"""How far from a query its keys can be: bounds of ``q - k`` that follow from a mask.

A comparison of ints bounds ``q - k`` through linear bounds of its sides: ``x // n`` lies between
``(x - n + 1) / n`` and ``x / n``. Positions may be any ints, so that an answer holds at every
offset, below 0 too, where padding stands in front. What is no such comparison bounds nothing, so an
answer is never too small, and None says that no bound was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import ceil, floor, inf
from typing import NamedTuple

from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    Index,
    IntConst,
    Not,
    Or,
    Where,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Ix, Type


class Distance(NamedTuple):
    """How many tokens the furthest key lies behind and ahead of a query; None: unbounded."""

    behind: int | None
    ahead: int | None


@dataclass(frozen=True, slots=True)
class _Line:
    """``q * q_factor + k * k_factor + constant``."""

    q: Fraction
    k: Fraction
    constant: Fraction

    def plus(self, other: _Line, factor: Fraction) -> _Line:
        """Return ``self + factor * other``."""
        return _Line(
            self.q + factor * other.q,
            self.k + factor * other.k,
            self.constant + factor * other.constant,
        )


_Lines = tuple[_Line, ...]
_Bounds = Callable[[Expr], _Lines]
_Span = tuple[float, float]
"""The least and the largest ``q - k``; the first is larger where there is no pair."""

_ZERO = _Line(Fraction(0), Fraction(0), Fraction(0))
_ALL: _Span = (-inf, inf)
_NONE: _Span = (inf, -inf)


def max_distance(mask: Expr) -> Distance:
    """Return how far the keys of a mask can lie from their query."""
    least, most = _span(mask, True)
    if least > most:
        return Distance(0, 0)
    behind = None if most == inf else max(0, int(most))
    ahead = None if least == -inf else max(0, int(-least))
    return Distance(behind, ahead)


def _span(mask: Expr, holds: bool) -> _Span:
    """Return bounds of ``q - k`` where a boolean is true, or where it is false."""
    match mask:
        case BoolConst(value):
            return _ALL if value is holds else _NONE
        case Not(arg):
            return _span(arg, not holds)
        case And(args) | Or(args):
            spans = [_span(arg, holds) for arg in args]
            return reduce(_meet if isinstance(mask, And) is holds else _join, spans)
        case Where(cond, then, other) if mask.type is Type.BOOL:
            first = _meet(_span(cond, True), _span(then, holds))
            return _join(first, _meet(_span(cond, False), _span(other, holds)))
        case Compare(op, left, right) if left.type is right.type is Type.INT:
            return _of_comparison(op, left, right, holds)
        case _:
            return _ALL


def _meet(first: _Span, second: _Span) -> _Span:
    return max(first[0], second[0]), min(first[1], second[1])


def _join(first: _Span, second: _Span) -> _Span:
    if first[0] > first[1]:
        return second
    if second[0] > second[1]:
        return first
    return min(first[0], second[0]), max(first[1], second[1])


def _of_comparison(op: CompareOp, left: Expr, right: Expr, holds: bool) -> _Span:
    match op, holds:
        case (CompareOp.LT, True):
            return _at_most(left, right, -1)
        case (CompareOp.LT, False):
            return _at_most(right, left, 0)
        case (CompareOp.LE, True):
            return _at_most(left, right, 0)
        case (CompareOp.LE, False):
            return _at_most(right, left, -1)
        case (CompareOp.EQ, True) | (CompareOp.NE, False):
            return _meet(_at_most(left, right, 0), _at_most(right, left, 0))
        case _:
            return _ALL


def _at_most(left: Expr, right: Expr, step: int) -> _Span:
    """Return bounds of ``q - k`` where ``left <= right + step``."""
    spans = (
        _below_zero(low.plus(high, Fraction(-1)).plus(_constant(step), Fraction(-1)))
        for low in _lower(left)
        for high in _upper(right)
    )
    return reduce(_meet, spans, _ALL)


def _below_zero(line: _Line) -> _Span:
    """Return bounds of ``q - k`` where a line is at most 0; a line of one position bounds none."""
    if line.q + line.k != 0:
        return _ALL
    most = floor(-line.constant / line.q) if line.q > 0 else inf
    least = ceil(line.constant / line.k) if line.k > 0 else -inf
    return least, most


def _constant(value: int) -> _Line:
    return _Line(Fraction(0), Fraction(0), Fraction(value))


def _lower(expr: Expr) -> _Lines:
    """Return lines that an int is never below."""
    match expr:
        case Call(Fn.MAX, args):
            return tuple(line for arg in args for line in _lower(arg))
        case Call(Fn.ABS, (arg,)):
            return (*_lower(arg), *_negated(_upper(arg)), _ZERO)
        case Arith(ArithOp.FLOORDIV, arg, IntConst(n)) if n > 0:
            shift = _constant(1 - n)
            return tuple(_scaled(line.plus(shift, Fraction(1)), n) for line in _lower(arg))
        case Arith(ArithOp.MOD, _, IntConst(n)) if n > 0:
            return (_ZERO,)
        case _:
            return _both(expr, _lower, _upper)


def _upper(expr: Expr) -> _Lines:
    """Return lines that an int is never above."""
    match expr:
        case Call(Fn.MIN, args):
            return tuple(line for arg in args for line in _upper(arg))
        case Call(Fn.CLAMP, (_, _, most)):
            return _upper(most)
        case Arith(ArithOp.FLOORDIV, arg, IntConst(n)) if n > 0:
            return tuple(_scaled(line, n) for line in _upper(arg))
        case Arith(ArithOp.MOD, _, IntConst(n)) if n > 0:
            return (_constant(n - 1),)
        case _:
            return _both(expr, _upper, _lower)


def _both(expr: Expr, same: _Bounds, opposite: _Bounds) -> _Lines:
    """Return the bounds of a sum; ``opposite`` gives those of what is subtracted."""
    match expr:
        case IntConst(value):
            return (_constant(value),)
        case Index(Ix.Q):
            return (_Line(Fraction(1), Fraction(0), Fraction(0)),)
        case Index(Ix.K):
            return (_Line(Fraction(0), Fraction(1), Fraction(0)),)
        case Call(Fn.NEG, (arg,)):
            return _negated(opposite(arg))
        case Arith(ArithOp.ADD, left, right):
            return _sums(same(left), same(right), 1)
        case Arith(ArithOp.SUB, left, right):
            return _sums(same(left), opposite(right), -1)
        case Arith(ArithOp.MUL, IntConst(n), arg) | Arith(ArithOp.MUL, arg, IntConst(n)):
            lines = same(arg) if n >= 0 else opposite(arg)
            return tuple(_ZERO.plus(line, Fraction(n)) for line in lines)
        case _:
            return ()


def _sums(left: _Lines, right: _Lines, sign: int) -> _Lines:
    return tuple(one.plus(two, Fraction(sign)) for one in left for two in right)


def _scaled(line: _Line, divisor: int) -> _Line:
    return _ZERO.plus(line, Fraction(1, divisor))


def _negated(lines: Iterable[_Line]) -> _Lines:
    return tuple(_ZERO.plus(line, Fraction(-1)) for line in lines)
