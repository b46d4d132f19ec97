"""Sums of ints as linear forms: ``2 * q - k + 5`` is {q: 2, k: -1} and 5.

The shared arithmetic of the passes over index expressions. Exact, since ints have no rounding;
what is no sum (a product of two unknowns, ``//``, a subscript) is a variable of the form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from maskc.ir.nodes import Arith, Call, Expr, Index, IntConst, Size
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.places import cached_by_place
from maskc.ir.text import expr_text
from maskc.ir.types import Dim, Ix, Type
from maskc.limits import MAX_INT

ONE = IntConst(1)

_INDEX_ORDER = {which: place for place, which in enumerate((Ix.Q, Ix.Q_IDX, Ix.K, Ix.KV_IDX))}


@dataclass(frozen=True, slots=True)
class Linear:
    """``sum(coefficient * term) + constant``; coefficients are not 0, terms are in order."""

    terms: tuple[tuple[Expr, int], ...]
    constant: int

    @staticmethod
    def of(coefficients: Mapping[Expr, int], constant: int) -> Linear:
        """Return the form with these coefficients."""
        present = [(term, factor) for term, factor in coefficients.items() if factor]
        if len(present) > 1:
            present.sort(key=lambda item: order(item[0]))
        return Linear(tuple(present), constant)

    def __add__(self, other: Linear) -> Linear:
        return self.plus(other, 1)

    def __sub__(self, other: Linear) -> Linear:
        return self.plus(other, -1)

    def __neg__(self) -> Linear:
        return self.times(-1)

    def plus(self, other: Linear, factor: int) -> Linear:
        """Return ``self + factor * other``."""
        if not other.terms:
            return Linear(self.terms, self.constant + factor * other.constant)
        total = dict(self.terms)
        for term, coefficient in other.terms:
            total[term] = total.get(term, 0) + factor * coefficient
        return Linear.of(total, self.constant + factor * other.constant)

    def times(self, factor: int) -> Linear:
        """Return ``factor * self``."""
        if factor == 0:
            return Linear((), 0)
        return Linear(tuple((t, c * factor) for t, c in self.terms), self.constant * factor)

    def shifted(self, by: int) -> Linear:
        """Return ``self + by``."""
        return Linear(self.terms, self.constant + by)

    @property
    def content(self) -> int:
        """The greatest common divisor of the coefficients, 0 for a constant."""
        return gcd(*(factor for _, factor in self.terms))

    @property
    def variable(self) -> Linear:
        """The form without its constant."""
        return Linear(self.terms, 0)

    def without(self, term: Expr) -> Linear:
        """Return the form without ``term``."""
        return Linear(tuple(item for item in self.terms if item[0] != term), self.constant)


@cached_by_place(8192)
def linear(expr: Expr) -> Linear:
    """Return the linear form of an int expression."""
    match expr:
        case IntConst(value):
            return Linear((), value)
        case Arith(ArithOp.ADD, left, right) if expr.type is Type.INT:
            return linear(left) + linear(right)
        case Arith(ArithOp.SUB, left, right) if expr.type is Type.INT:
            return linear(left) - linear(right)
        case Call(Fn.NEG, (arg,)):
            return -linear(arg)
        case Arith(ArithOp.MUL, left, right) if expr.type is Type.INT:
            return _product(linear(left), linear(right))
        case _:
            return Linear(((expr, 1),), 0)


def _product(left: Linear, right: Linear) -> Linear:
    """Return the form of a product: linear if a side is constant, else with one variable."""
    if not left.terms:
        return right.times(left.constant)
    if not right.terms:
        return left.times(right.constant)
    (a, m), (b, n) = _primitive(left), _primitive(right)
    first, second = sorted((to_expr(a), to_expr(b)), key=order)
    return Linear(((Arith(ArithOp.MUL, first, second), m * n),), 0)


def _primitive(form: Linear) -> tuple[Linear, int]:
    """Return the form with its common factor and leading sign taken out, and that factor."""
    common = gcd(form.content, form.constant)
    if form.terms[0][1] < 0:
        common = -common
    return Linear(tuple((t, c // common) for t, c in form.terms), form.constant // common), common


def to_expr(form: Linear) -> Expr:
    """Return the canonical expression: what is added first, then what is subtracted.

    ``linear`` gives the form back, and every sum within the expression is canonical too: a pass
    that works from the inside out finds nothing left to rewrite.
    """
    constant = [(ONE, form.constant)] if form.constant or not form.terms else []
    return _sum(sorted([*form.terms, *constant], key=lambda part: part[1] < 0))


def _sum(parts: Sequence[tuple[Expr, int]]) -> Expr:
    """Return the sum of parts in their order, a factor of the leading ones written once."""
    count, common = _sharing(parts)
    if count > 1:
        inner = _sum([(term, factor // common) for term, factor in parts[:count]])
        total: Expr = Arith(ArithOp.MUL, IntConst(common), inner)
    else:
        count, total = 1, _scaled(*parts[0])
    for term, factor in parts[count:]:
        op = ArithOp.ADD if factor > 0 else ArithOp.SUB
        total = Arith(op, total, _scaled(term, abs(factor)))
    return total


def _sharing(parts: Sequence[tuple[Expr, int]]) -> tuple[int, int]:
    """Return how many leading parts share a factor other than 1, and the greatest they share."""
    common = 0
    for count, (_, factor) in enumerate(parts):
        wider = gcd(common, factor)
        if wider == 1:
            return count, common
        common = wider
    return len(parts), common


def _scaled(term: Expr, factor: int) -> Expr:
    if term == ONE:
        return IntConst(factor)
    if factor == -1:
        return Call(Fn.NEG, (term,))
    return term if factor == 1 else Arith(ArithOp.MUL, IntConst(factor), term)


@lru_cache(maxsize=8192)
def order(expr: Expr) -> tuple[int, int, str]:
    """Return the key that terms are sorted by: what depends on q, on k, on neither; simple first.

    It does not depend on the process, so that canonical text does not either.
    """
    if isinstance(expr, Index) and expr.which in _INDEX_ORDER:
        return 0, _INDEX_ORDER[expr.which], ""
    if expr.deps & (Dim.Q | Dim.K):
        place = 1 if Dim.Q in expr.deps else 2
        return place, expr.weight, expr_text(expr)
    return 3, isinstance(expr, Size) + 2 * expr.weight, expr_text(expr)


def fits(form: Linear) -> bool:
    """Tell whether every constant of the form is one that a text can hold."""
    factors = [abs(factor) for _, factor in form.terms]
    return max([abs(form.constant), *factors]) <= MAX_INT
