"""Linear forms: ``2 * (q - k) + q`` is ``3 * q - 2 * k``, so it is bounded as one.

Bounding ``q - k`` and ``q + k`` by themselves and then their sum would count q twice. A form adds
up what a sum, a difference or a product with a constant is made of; its terms are the sub-terms
that are none of these, each with its own bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maskc.ir.nodes import Arith, Call, Expr, IntConst, Size
from maskc.ir.types import ArithOp, Fn, Sz, Type


@dataclass(frozen=True, slots=True)
class Linear:
    """``sum(factor * term) + constant``, without factors of 0."""

    terms: Mapping[Expr, int]
    constant: int

    def plus(self, other: Linear, factor: int = 1) -> Linear:
        """Return ``self + factor * other``."""
        terms = dict(self.terms)
        for term, count in other.terms.items():
            terms[term] = terms.get(term, 0) + factor * count
        kept = {term: count for term, count in terms.items() if count}
        return Linear(kept, self.constant + factor * other.constant)


ZERO = Linear({}, 0)


@dataclass(slots=True)
class Affine:
    """The linear forms of int terms, for given sizes."""

    sizes: Mapping[Sz, int]
    memo: dict[Expr, Linear] = field(default_factory=dict)

    def form(self, expr: Expr) -> Linear:
        """Return the linear form of an int term."""
        if expr not in self.memo:
            self.memo[expr] = self._form(expr)
        return self.memo[expr]

    def _form(self, expr: Expr) -> Linear:
        match expr:
            case IntConst(value):
                return Linear({}, value)
            case Size(which):
                return Linear({}, self.sizes[which])
            case Arith(ArithOp.ADD, left, right) if expr.type is Type.INT:
                return self.form(left).plus(self.form(right))
            case Arith(ArithOp.SUB, left, right) if expr.type is Type.INT:
                return self.form(left).plus(self.form(right), -1)
            case Arith(ArithOp.MUL, left, right) if expr.type is Type.INT:
                return self._scaled(expr, self.form(left), self.form(right))
            case Call(Fn.NEG, (arg,)) if expr.type is Type.INT:
                return ZERO.plus(self.form(arg), -1)
            case _:
                return Linear({expr: 1}, 0)

    def _scaled(self, expr: Expr, left: Linear, right: Linear) -> Linear:
        if not left.terms:
            return ZERO.plus(right, left.constant)
        return Linear({expr: 1}, 0) if right.terms else ZERO.plus(left, right.constant)
