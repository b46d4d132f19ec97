"""``abs``, ``min``, ``max`` and ``//`` in a bound: ``abs(x) < n`` is ``-n < x & x < n``.

The block mask bounds each linear form exactly, also where x holds both q and k, and kernels read
``low <= x & x < high``. ``min`` below a bound is an or of two, above it an and.
"""

from __future__ import annotations

from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import And, Arith, Call, Expr, IntConst, Or
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.places import cached_by_place
from maskc.passes.support.constraint import Constraint, Kind, constraint, shown

MAX_ARGS = 24
"""Extremes of larger arguments stay: each one inside another doubles the bounds."""

MAX_REST = 12
"""The rest of a bound is written once for each part; a larger one is computed once instead."""


@cached_by_place(4096)
def unfold(expr: Expr) -> Expr | None:
    """Return a bound of an extreme as bounds of its arguments."""
    result = constraint(expr)
    if result is None:
        return None
    if result.kind is not Kind.GE:
        return _block(result)
    for term, factor in result.form.terms:
        rest = result.form.without(term)
        match term:
            case Call(Fn.ABS | Fn.MIN | Fn.MAX, args) if _is_small(term, rest):
                return _extreme(term, factor, rest, args)
            case Arith(ArithOp.FLOORDIV, value, IntConst(n)) if n > 0 and not rest.terms:
                return _quotient(linear(value), n, factor, rest.constant)
            case _:
                continue
    return None


def _extreme(term: Call, factor: int, rest: Linear, args: tuple[Expr, ...]) -> Expr | None:
    """Split ``factor * extreme(args) + rest >= 0``."""
    forms = [linear(arg) for arg in args]
    if term.fn is Fn.ABS:
        forms.append(-forms[0])
    parts = [shown(Constraint(Kind.GE, rest.plus(form, factor))) for form in forms]
    bounds = tuple(part for part in parts if part is not None)
    if len(bounds) < len(parts):
        return None
    all_must = (factor < 0) is (term.fn is not Fn.MIN)
    return And(bounds) if all_must else Or(bounds)


def _quotient(value: Linear, n: int, factor: int, constant: int) -> Expr | None:
    """Bound x instead of ``x // n``."""
    if factor == 1:
        return shown(Constraint(Kind.GE, value.shifted(constant * n)))
    if factor == -1:
        return shown(Constraint(Kind.GE, (-value).shifted(constant * n + n - 1)))
    return None


def _block(found: Constraint) -> Expr | None:
    """Return ``x // n == c`` as the two bounds of the block, ``!=`` as lying beyond one."""
    match found.form:
        case Linear(((Arith(ArithOp.FLOORDIV, value, IntConst(n)), 1),), constant) if n > 0:
            low = Constraint(Kind.GE, linear(value).shifted(constant * n))
            high = Constraint(Kind.GE, (-linear(value)).shifted(n - 1 - constant * n))
        case _:
            return None
    if found.kind is Kind.EQ:
        bounds = shown(low), shown(high)
        return None if None in bounds else And(tuple(b for b in bounds if b is not None))
    bounds = shown(low.negated()), shown(high.negated())
    return None if None in bounds else Or(tuple(b for b in bounds if b is not None))


def _is_small(term: Expr, rest: Linear) -> bool:
    return term.weight <= MAX_ARGS and sum(part.weight for part, _ in rest.terms) <= MAX_REST
