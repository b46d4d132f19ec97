"""Choice: ``where(true, a, b)`` is ``a``; ``where(c, a, a)`` is ``a``; of booleans it is and, or.

A configured program chooses by constants (``where(layer % 2 == 0, local, true)``), and the block
mask decides ``&`` and ``|`` of constraints where it cannot see through a choice.

Both forms evaluate the same sides: ``(c & a) | (!c & b)`` stops where ``where`` would not look.
"""

from __future__ import annotations

from maskc.ir.nodes import FALSE, TRUE, And, BoolConst, Compare, Expr, Not, Or, Where
from maskc.ir.operators import CompareOp
from maskc.ir.types import Type
from maskc.passes.numbers.drop_conversions import as_type

CHEAP = 12
"""A condition of at most this many nodes may be computed twice."""

DEEP = 24
"""A choice nested more deeply than this stays: as and, or it would be nested twice as deep."""


def choose(expr: Expr) -> Expr | None:
    """Return a simpler choice, or None."""
    match expr:
        case Where():
            laws = (_same, _turned, _nested, _boolean)
            return next((result for law in laws if (result := law(expr)) is not None), None)
        case _:
            return None


def _same(expr: Where) -> Expr | None:
    match expr:
        case Where(BoolConst(value), then, other):
            return as_type(then if value else other, expr.type)
        case Where(_, then, other) if then == other:
            return then
        case _:
            return None


def _turned(expr: Where) -> Expr | None:
    """Swap the arms of a choice whose condition is negated."""
    match expr:
        case Where(Not(test), then, other):
            return Where(test, other, then)
        case Where(Compare(CompareOp.NE, left, right), then, other) if expr.type is not Type.BOOL:
            return Where(Compare(CompareOp.EQ, left, right), other, then)
        case _:
            return None


def _nested(expr: Where) -> Expr | None:
    """Join two choices that fall back to the same value."""
    match expr:
        case Where(cond, Where(test, then, inner), other) if inner == other:
            return Where(And((cond, test)), then, other)
        case Where(cond, then, Where(test, inner, other)) if inner == then:
            return Where(Or((cond, test)), then, other)
        case _:
            return None


def _boolean(expr: Where) -> Expr | None:
    if expr.type is not Type.BOOL:
        return None
    cond, then, other = expr.cond, expr.then, expr.other
    if then == TRUE:
        return Or((cond, other))
    if then == FALSE:
        return And((Not(cond), other))
    if other == TRUE:
        return Or((Not(cond), then))
    if other == FALSE:
        return And((cond, then))
    if cond.weight > CHEAP or expr.depth > DEEP:
        return None
    return Or((And((cond, then)), And((Not(cond), other))))
