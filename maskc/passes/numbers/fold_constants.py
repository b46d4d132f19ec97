"""Constant folding: an operator on constants becomes its value, as the evaluator computes it.

Params and macro arguments are constants, so most of a configured program folds away. A result
that no kernel or text can hold (a number past 32 bits, NaN) is left as it was written.
"""

from __future__ import annotations

import math

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    Arith,
    BoolConst,
    Expr,
    FloatConst,
    IntConst,
    Load,
    TopK,
    children,
    literal,
)
from maskc.ir.operators import ArithOp
from maskc.limits import MAX_INT, held


def fold_constants(expr: Expr) -> Expr | None:
    """Return the constant that ``expr`` is, or None where it is none."""
    kids = children(expr)
    if not kids or not all(isinstance(kid, BoolConst | IntConst | FloatConst) for kid in kids):
        return None
    if isinstance(expr, Load | TopK) or _is_huge(expr):
        return None
    try:
        value = evaluate(expr, Point(), Env({}))
    except (ZeroDivisionError, OverflowError):
        return None
    if isinstance(value, float):
        is_lost = math.isnan(value) or (math.isinf(held(value)) and not math.isinf(value))
        return None if is_lost else literal(held(value))
    return literal(value) if abs(value) <= MAX_INT else None


def _is_huge(expr: Expr) -> bool:
    """Tell whether a power would be too large even to compute."""
    match expr:
        case Arith(ArithOp.POW, IntConst(base), IntConst(exponent)):
            return abs(base) > 1 and abs(exponent) * math.log2(abs(base)) > 64
        case _:
            return False
