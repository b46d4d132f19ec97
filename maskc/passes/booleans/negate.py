"""Negation normal form: ``!`` moves inwards until it stands before an input or a float comparison.

De Morgan turns ``!(a & b)`` into ``!a | !b``. ``!(a < b)`` is ``b <= a`` for ints alone: with NaN
both are false. ``!(a == b)`` is ``a != b`` for all. Constraints on positions are then all plain
comparisons, which ``constrain`` can join.
"""

from __future__ import annotations

from maskc.ir.nodes import And, BoolConst, Compare, Expr, Not, Or
from maskc.ir.operators import CompareOp
from maskc.ir.types import Type


def negate(expr: Expr) -> Expr | None:
    """Return ``expr`` with its negation moved inwards."""
    return negated(expr.arg) if isinstance(expr, Not) else None


def negated(arg: Expr) -> Expr | None:
    """Return an expression equal to ``!arg`` without the ``!``, or None if there is none."""
    match arg:
        case BoolConst(value):
            return BoolConst(not value)
        case Not(inner):
            return inner
        case And(args):
            return Or(tuple(Not(part, span=part.span) for part in args))
        case Or(args):
            return And(tuple(Not(part, span=part.span) for part in args))
        case Compare(CompareOp.EQ, left, right):
            return Compare(CompareOp.NE, left, right)
        case Compare(CompareOp.NE, left, right):
            return Compare(CompareOp.EQ, left, right)
        case Compare(op, left, right) if left.type is right.type is Type.INT:
            opposite = CompareOp.LE if op is CompareOp.LT else CompareOp.LT
            return Compare(opposite, right, left)
        case _:
            return None
