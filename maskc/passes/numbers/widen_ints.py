"""Ints among floats: ``score * 2`` and ``score * 2.0`` are one program.

An int constant that meets a float is widened anyway; writing it as the float it becomes gives the
two spellings one text and one digest. Only for ints that a float32 holds exactly.
"""

from __future__ import annotations

from maskc.ir.nodes import Arith, Call, Compare, Expr, FloatConst, IntConst, Where, with_children
from maskc.ir.operators import ArithOp, Gives
from maskc.ir.types import Type
from maskc.limits import EXACT_FLOAT


def widen_ints(expr: Expr) -> Expr | None:
    """Return ``expr`` with its int constants as floats, where it computes with floats."""
    match expr:
        case Arith(ArithOp.POW):
            return None  # the type of a power depends on whether its exponent is an int
        case Arith(_, left, right) if expr.type is Type.FLOAT:
            return _widened(expr, (left, right))
        case Call(fn, args) if fn.value.gives is Gives.WIDEST and expr.type is Type.FLOAT:
            return _widened(expr, args)
        case Compare(_, left, right) if Type.FLOAT in (left.type, right.type):
            return _widened(expr, (left, right))
        case Where(cond, then, other) if expr.type is Type.FLOAT:
            return _widened(expr, (cond, then, other))
        case _:
            return None


def _widened(expr: Expr, kids: tuple[Expr, ...]) -> Expr | None:
    widened = tuple(_as_float(kid) for kid in kids)
    return None if widened == kids else with_children(expr, widened)


def _as_float(expr: Expr) -> Expr:
    match expr:
        case IntConst(value) if abs(value) <= EXACT_FLOAT:
            return FloatConst(float(value), span=expr.span)
        case _:
            return expr
