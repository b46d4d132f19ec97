"""How large a number can be, by what it is made of: whether an int can hold it."""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, IntConst
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.types import Type
from maskc.limits import MAX_ROUNDED


def largest(term: Expr) -> float:
    """Return a bound of the absolute value of a number; infinity where none is known.

    An int has 32 bits: binding refuses a program in which one may have more.
    """
    match term:
        case IntConst(value) | FloatConst(value):
            return math.inf if math.isnan(value) else abs(value)
        case _ if term.type is Type.INT:
            return MAX_ROUNDED
        case Arith(ArithOp.ADD | ArithOp.SUB, left, right):
            return largest(left) + largest(right)
        case Arith(ArithOp.MUL, left, right):
            return _product(largest(left), largest(right))
        case Arith(ArithOp.DIV, left, IntConst(value) | FloatConst(value)) if value:
            return _product(largest(left), 1 / abs(value))
        case Call(Fn.NEG | Fn.ABS | Fn.FLOAT | Fn.MIN | Fn.MAX | Fn.CLAMP, args):
            return max(largest(arg) for arg in args)
        case _:
            return math.inf


def _product(first: float, second: float) -> float:
    """Return a product; nothing is known of 0 times infinity."""
    return math.inf if math.inf in (first, second) else first * second
