"""Equality of booleans and floats: ``a == true`` is ``a``; ``!a == b`` is ``a ^ b``.

Only what holds for every operand: ``x == x`` is not true of a NaN. Operands are put in order, so
that both ways to write an equality are one.
"""

from __future__ import annotations

from maskc.ir.linear import order
from maskc.ir.nodes import FALSE, BoolConst, Compare, Expr, Not
from maskc.ir.operators import CompareOp
from maskc.ir.types import Type

_OPPOSITE = {CompareOp.EQ: CompareOp.NE, CompareOp.NE: CompareOp.EQ}


def equate(expr: Expr) -> Expr | None:
    """Return an equality of booleans or floats in normal form."""
    match expr:
        case Compare(CompareOp.LT, left, right) if left == right:
            return FALSE
        case Compare(CompareOp.EQ | CompareOp.NE as op, left, right):
            simpler = _of_bools(op, left, right) if left.type is Type.BOOL else None
            if simpler is None and _swaps(left, right):
                return Compare(op, right, left)
            return simpler
        case _:
            return None


def _of_bools(op: CompareOp, left: Expr, right: Expr) -> Expr | None:
    if left == right:
        return BoolConst(op is CompareOp.EQ)
    match left, right:
        case (BoolConst(value), other) | (other, BoolConst(value)):
            return other if value is (op is CompareOp.EQ) else Not(other)
        case (Not(inner), other) | (other, Not(inner)):
            return Compare(_OPPOSITE[op], inner, other)
        case _:
            return None


def _swaps(left: Expr, right: Expr) -> bool:
    if left.type is right.type is Type.INT:
        return False
    return order(right) < order(left)
