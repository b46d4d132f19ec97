"""Conversions and neutral arithmetic: ``float(x)`` of a float, ``-(-x)``, ``x * 1``, ``x - 0.0``.

They come from macro arguments and defaults. Only what is exact for every float, NaN and -0.0
included: ``x + 0.0`` stays, it turns -0.0 into 0.0. Sums and products of ints are ``linear``'s.
Ints that are compared as floats are compared as ints, which loses none above 2 ** 24.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Compare, Expr, FloatConst, IntConst
from maskc.ir.operators import ArithOp, CompareOp, Fn, Gives
from maskc.ir.types import Type
from maskc.limits import EXACT_FLOAT


def drop_conversions(expr: Expr) -> Expr | None:
    """Return ``expr`` without a conversion or an operand that has no effect."""
    match expr:
        case Call(Fn.BOOL, (arg,)):
            return arg if arg.type is Type.BOOL else Compare(CompareOp.NE, arg, IntConst(0))
        case Call(Fn.FLOAT, (arg,)) if arg.type is Type.FLOAT:
            return arg
        case Call(fn, (arg,)) if fn.value.gives is Gives.ROUNDED and arg.type is Type.INT:
            return arg
        case Call(Fn.NEG, (Call(Fn.NEG, (arg,)),)):
            return arg
        case Call(Fn.ABS, (Call(Fn.NEG | Fn.ABS as inner, (arg,)),)):
            return Call(Fn.ABS, (arg,)) if inner is Fn.NEG else expr.args[0]
        case Compare(op, left, right) if Type.FLOAT in (left.type, right.type):
            return _compared(op, _as_int(left), _as_int(right))
        case Arith() if expr.type is Type.FLOAT:
            return _neutral(expr)
        case _:
            return None


def as_type(expr: Expr, type: Type) -> Expr:
    """Return ``expr``, converted to float where ``type`` is wider than its own."""
    return expr if expr.type is type else Call(Fn.FLOAT, (expr,))


def _compared(op: CompareOp, left: Expr | None, right: Expr | None) -> Expr | None:
    return None if left is None or right is None else Compare(op, left, right)


def _as_int(expr: Expr) -> Expr | None:
    """Return the int that a number is, or was before it became a float; None for no int."""
    match expr:
        case Call(Fn.FLOAT, (arg,)) if arg.type is Type.INT:
            return arg
        case FloatConst(value) if value.is_integer() and abs(value) <= EXACT_FLOAT:
            return IntConst(int(value), span=expr.span)
        case _:
            return expr if expr.type is Type.INT else None


def _neutral(expr: Arith) -> Expr | None:
    left, right = expr.left, expr.right
    match expr.op:
        case ArithOp.MUL if _is(right, 1):
            return as_type(left, Type.FLOAT)
        case ArithOp.MUL if _is(left, 1):
            return as_type(right, Type.FLOAT)
        case ArithOp.DIV | ArithOp.POW if _is(right, 1):
            return as_type(left, Type.FLOAT)
        case ArithOp.SUB if _is(right, 0):
            return as_type(left, Type.FLOAT)
        case _:
            return _plus_minus(expr)


def _plus_minus(expr: Arith) -> Expr | None:
    """``a + -b`` is ``a - b`` for floats alone: ``-0.0 + 0`` and ``-0.0 - 0`` differ."""
    match expr:
        case Arith(ArithOp.ADD, left, Call(Fn.NEG, (arg,))) if arg.type is Type.FLOAT:
            return Arith(ArithOp.SUB, left, arg)
        case Arith(ArithOp.SUB, left, Call(Fn.NEG, (arg,))) if arg.type is Type.FLOAT:
            return Arith(ArithOp.ADD, left, arg)
        case _:
            return None


def _is(expr: Expr, value: int) -> bool:
    """Tell whether ``expr`` is the constant ``value``, and no -0.0."""
    match expr:
        case IntConst(constant):
            return constant == value
        case FloatConst(constant):
            return constant == value and math.copysign(1.0, constant) > 0
        case _:
            return False
