"""Floats that are finite, and so is their slope, whatever finite numbers they read.

A kernel evaluates both sides of a choice, and masked pairs too, and multiplies by 0 the slope of
what no weight sees. Where that may be infinite, ``0 * inf`` would make NaN of a gradient, so such
a float needs care there: what keeps the argument of a ``log`` positive stays.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, IntConst, Size, children
from maskc.ir.operators import EVERYWHERE, ArithOp, Function, Rises
from maskc.ir.types import Type


def is_smooth(expr: Expr) -> bool:
    """Tell whether ``expr`` and its slope are finite wherever what it reads is; an int has none."""
    if expr.type is not Type.FLOAT:
        return True
    return not is_steep(expr) and all(map(is_smooth, children(expr)))


def is_steep(term: Expr) -> bool:
    """Tell whether a float, or its slope, may be infinite or NaN though its operands are finite."""
    match term:
        case FloatConst(value):
            return not math.isfinite(value)
        case Arith(ArithOp.POW, _, by):
            return not (isinstance(by, IntConst | FloatConst) and by.value in (1, 2, 3))
        case Arith(ArithOp.DIV | ArithOp.MOD | ArithOp.FLOORDIV, _, by):
            return not (bool(by.value) if isinstance(by, IntConst | FloatConst) else _is_size(by))
        case Call(fn, args):
            tame_from = fn.value.tame_from
            return tame_from > EVERYWHERE and not (tame_from <= 1 and all(map(_is_size, args)))
        case _:
            return False


def _is_size(expr: Expr) -> bool:
    """Tell whether ``expr`` is a size of the call or a root of one: at least 1, and finite."""
    match expr:
        case Size():
            return True
        case Call(fn, (arg,)):
            return _stays_above_one(fn.value) and _is_size(arg)
        case _:
            return False


def _stays_above_one(entry: Function) -> bool:
    """Tell whether a function is finite and at least 1 where its argument is."""
    return isinstance(entry.shape, Rises) and entry.tame_from <= 1 <= entry.scalar(1.0)
