"""The score in linear form: ``(score + a) * c - score * b`` becomes ``score * (c - b) + a * c``.

A linear score that reads the old one once folds into ``scale``, q and k, and needs no score_mod.
The factor is split where it is a product of one of q and one of k:
``score * (1 + f[q] + g[k] + f[q] * g[k])`` becomes ``score * (1 + f[q]) * (1 + g[k])``. The one
door to sympy, whose import (0.3 s) is paid only by a program that reads its score twice, or
multiplies it by a sum over both q and k.

Exact over the reals, for terms that are finite; constants are summed exactly and rounded once. In
floats each side is within a few units in the last place of the sum of its terms' magnitudes, as
folding a factor into q and k is anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from maskc.ir.nodes import (
    SCORE,
    Arith,
    Call,
    Expr,
    FloatConst,
    IntConst,
    Module,
    children,
    reads,
)
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.types import Dim, Given, Type
from maskc.limits import held
from maskc.passes.numbers.drop_conversions import as_type
from maskc.passes.support.give_spans import give_spans

MAX_WEIGHT = 200
MAX_ATOMS = 12
"""A larger score stays as it is: polynomials of many unknowns take long."""

BOTH = Dim.Q | Dim.K
_SUMS = (ArithOp.ADD, ArithOp.SUB)


def collect_score(module: Module) -> Module | None:
    """Return the module with its score in linear form; None if it is already, or cannot be."""
    score = module.score
    if score.weight > MAX_WEIGHT:
        return None
    use = _Use()
    if not use.visit(score) or (use.count < 2 and not any(map(_mixes, use.factors))):
        return None
    result = _collected(score)
    if result is None or result == score:
        return None
    return Module(module.mask, give_spans(result, score.span), module.out)


@dataclass(slots=True)
class _Use:
    """How often a linear form reads the score, and what it multiplies it by."""

    count: int = 0
    factors: list[Expr] = field(default_factory=list)

    def visit(self, expr: Expr) -> bool:
        """Read a term; False if it is not linear in the score."""
        match expr:
            case _ if expr == SCORE:
                self.count += 1
                return True
            case _ if not reads(expr, Given.SCORE):
                return not _is_infinite(expr)
            case Call(Fn.NEG, (arg,)):
                return self.visit(arg)
            case Arith(ArithOp.ADD | ArithOp.SUB, left, right):
                return self.visit(left) and self.visit(right)
            case Arith(ArithOp.MUL, left, right) if not reads(right, Given.SCORE):
                self.factors.append(right)
                return self.visit(left) and self.visit(right)
            case Arith(ArithOp.MUL, left, right) if not reads(left, Given.SCORE):
                self.factors.append(left)
                return self.visit(left) and self.visit(right)
            case Arith(ArithOp.DIV, left, right) if not reads(right, Given.SCORE):
                return _value(right) != 0 and self.visit(left) and self.visit(right)
            case _:
                return False


def _mixes(factor: Expr) -> bool:
    """Tell whether a factor is a sum over q and k, which may be a product of one of each."""
    is_sum = any(isinstance(part, Arith) and part.op in _SUMS for part in (factor, *_parts(factor)))
    return factor.type is Type.FLOAT and BOTH in factor.deps and is_sum


def _parts(factor: Expr) -> tuple[Expr, ...]:
    return children(factor) if isinstance(factor, Arith) else ()


def _collected(score: Expr) -> Expr | None:
    """Return ``score * a + b``, or None where the score cancels out or the numbers do not fit."""
    try:
        return _as_line(score)
    except OverflowError:
        return None


def _as_line(score: Expr) -> Expr | None:
    """Return ``score * a + b``, or None where the score cancels out.

    Raises:
        OverflowError: a constant is too large for a float.

    """
    polynomials = _Polynomials.of(score, lambda term: reads(term, Given.SCORE) and term != SCORE)
    if polynomials is None:
        return None
    line = polynomials.of_expr(score)
    slope = line.diff(polynomials.variable(SCORE))
    if not slope:
        return None
    rest = line - slope * polynomials.variable(SCORE)
    result = _product(SCORE, _factors(polynomials.expr(slope)))
    return Arith(ArithOp.ADD, result, polynomials.expr(rest)) if rest else result


def _factors(slope: Expr) -> list[Expr]:
    """Return the factors of the slope, each of q or of k alone where it separates."""
    if BOTH not in slope.deps:
        return [slope]
    polynomials = _Polynomials.of(slope, _is_open)
    if polynomials is None:
        return [slope]
    content, parts = polynomials.of_expr(slope).factor_list()
    factors = [polynomials.expr(part) for part, power in parts for _ in range(power)]
    if any(BOTH in factor.deps for factor in factors):
        return [slope]
    return [*factors, _float(content)]


def _is_open(term: Expr) -> bool:
    """Tell whether a factor's parts count, rather than the term as a whole."""
    match term:
        case Arith(ArithOp.ADD | ArithOp.SUB | ArithOp.MUL) | Call(Fn.NEG):
            return term.type is Type.FLOAT
        case Arith(ArithOp.DIV, _, right):
            return _value(right) not in (None, 0)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Polynomials:
    """Polynomials over the rationals; opaque terms are the variables."""

    atoms: tuple[Expr, ...]
    is_open: Callable[[Expr], bool]
    zero: Any

    @staticmethod
    def of(expr: Expr, is_open: Callable[[Expr], bool]) -> _Polynomials | None:
        """Return the polynomials that ``expr`` is one of, None if it has too many variables."""
        from sympy import QQ  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from sympy.polys.rings import ring  # type: ignore[import-untyped, import-not-found, unused-ignore]

        atoms = tuple(dict.fromkeys(_atoms(expr, is_open)))
        if not 0 < len(atoms) <= MAX_ATOMS:
            return None
        return _Polynomials(atoms, is_open, ring([f"x{i}" for i in range(len(atoms))], QQ)[0].zero)

    def variable(self, atom: Expr) -> Any:
        """Return the variable that stands for ``atom``."""
        return self.zero.ring.gens[self.atoms.index(atom)]

    def of_expr(self, expr: Expr) -> Any:
        """Return the polynomial of ``expr``."""
        value = _value(expr)
        if value is not None:
            return self.zero + self.zero.ring.domain(value.numerator, value.denominator)
        if not self.is_open(expr):
            return self.variable(expr)
        match expr:
            case Arith(ArithOp.DIV, left, right):
                return self.of_expr(left) * self.of_expr(_inverse(right))
            case Arith(op, left, right):
                one, two = self.of_expr(left), self.of_expr(right)
                return (
                    one * two if op is ArithOp.MUL else one + two if op is _SUMS[0] else one - two
                )
            case _:
                return -self.of_expr(children(expr)[0])

    def expr(self, polynomial: Any) -> Expr:
        """Return a polynomial as a sum of products, in the order of the text.

        Raises:
            OverflowError: a constant is too large for a float.

        """
        total: Expr | None = None
        for powers, coefficient in polynomial.terms():
            factors = [a for a, power in zip(self.atoms, powers, strict=True) for _ in range(power)]
            size = _float(abs(coefficient))
            term = (
                _product(as_type(factors[0], Type.FLOAT), [*factors[1:], size]) if factors else size
            )
            if total is None:
                total = term if coefficient > 0 else Call(Fn.NEG, (term,))
            else:
                total = Arith(ArithOp.ADD if coefficient > 0 else ArithOp.SUB, total, term)
        return FloatConst(0.0) if total is None else total


def _atoms(expr: Expr, is_open: Callable[[Expr], bool]) -> list[Expr]:
    """Return the opaque terms, in the order of the text."""
    if _value(expr) is not None:
        return []
    if not is_open(expr):
        return [expr]
    parts = children(expr)
    if isinstance(expr, Arith) and expr.op is ArithOp.DIV:
        parts = (expr.left, _inverse(expr.right))
    return [atom for part in parts for atom in _atoms(part, is_open)]


def _inverse(expr: Expr) -> Expr:
    """Return ``1 / expr``; it stays a term of its own, for cancelling it would hide a zero."""
    value = _value(expr)
    if value:
        return _float(1 / value)
    return Arith(ArithOp.DIV, FloatConst(1.0), expr)


def _float(value: Any) -> FloatConst:
    """Return a number as a constant.

    Raises:
        OverflowError: no text holds it.

    """
    if math.isinf(held(float(value))):
        raise OverflowError
    return FloatConst(float(value))


def _product(first: Expr, factors: list[Expr]) -> Expr:
    """Return ``first`` times all factors but 1, each as a float."""
    for factor in factors:
        if factor != FloatConst(1.0):
            first = Arith(ArithOp.MUL, first, as_type(factor, Type.FLOAT))
    return first


def _is_infinite(expr: Expr) -> bool:
    """Tell whether a term is a literal infinity or NaN, which must not cancel."""
    return isinstance(expr, FloatConst) and not math.isfinite(expr.value)


def _value(expr: Expr) -> Fraction | None:
    match expr:
        case IntConst(value):
            return Fraction(value)
        case FloatConst(value) if math.isfinite(value):
            return Fraction(value)
        case _:
            return None
