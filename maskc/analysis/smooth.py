"""Expressions that are finite, and so is their slope, whatever finite numbers they read.

Beside a masked pair such an expression needs no care. Any other may be infinite there, or have an
infinite slope, and ``0 * inf`` would make NaN of a gradient or of a product.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, IntConst, Size, walk
from maskc.ir.types import ArithOp, Fn

_STEEP = frozenset({Fn.EXP, Fn.LOG, Fn.LOG2, Fn.SQRT, Fn.RSQRT})
"""Functions that may be infinite, NaN or infinitely steep at a finite number."""

_RISING = frozenset({Fn.FLOAT, Fn.SQRT})
"""Functions that are at least 1 where their argument is."""


def is_smooth(expr: Expr) -> bool:
    """Tell whether ``expr`` and its slope are finite wherever what it reads is."""
    return all(_is_smooth(term) for term in walk(expr))


def _is_smooth(term: Expr) -> bool:
    match term:
        case FloatConst(value):
            return math.isfinite(value)
        case Arith(ArithOp.POW, _, by):
            return isinstance(by, IntConst | FloatConst) and by.value >= 1 and by.value % 1 == 0
        case Arith(ArithOp.DIV | ArithOp.MOD | ArithOp.FLOORDIV, _, by):
            return _is_positive(by)
        case Call(fn, (arg,)) if fn in _STEEP:
            return isinstance(arg, IntConst | FloatConst) or (fn is not Fn.EXP and _is_size(arg))
        case _:
            return True


def _is_positive(expr: Expr) -> bool:
    return expr.value > 0 if isinstance(expr, IntConst | FloatConst) else _is_size(expr)


def _is_size(expr: Expr) -> bool:
    """Tell whether ``expr`` is a size of the call, at least 1, or the root of one."""
    match expr:
        case Size():
            return True
        case Call(fn, (arg,)) if fn in _RISING:
            return _is_size(arg)
        case _:
            return False
