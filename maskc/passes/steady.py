"""Floats that are finite at every pair, and so is their slope, if what they read is.

A kernel evaluates both sides of a choice and masked pairs too, and multiplies the slope of what
it does not use by 0. So what keeps an argument of ``log`` positive there stays, though the value
does not need it.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, IntConst, children
from maskc.ir.types import ArithOp, Fn, Type

_STEEP = frozenset({Fn.EXP, Fn.LOG, Fn.LOG2, Fn.SQRT, Fn.RSQRT})


def is_steady(expr: Expr) -> bool:
    """Tell whether ``expr`` and its slope are finite wherever the inputs and the score are."""
    if expr.type is not Type.FLOAT:
        return True
    return not is_steep(expr) and all(is_steady(kid) for kid in children(expr))


def is_steep(term: Expr) -> bool:
    """Tell whether a float, or its slope, may be infinite or NaN though its operands are finite."""
    match term:
        case FloatConst(value):
            return not math.isfinite(value)
        case Arith(ArithOp.POW, _, by):
            return not (isinstance(by, IntConst | FloatConst) and by.value in (1, 2, 3))
        case Arith(ArithOp.DIV | ArithOp.MOD | ArithOp.FLOORDIV, _, by):
            return not (isinstance(by, IntConst | FloatConst) and by.value)
        case Call(fn):
            return fn in _STEEP
        case _:
            return False
