"""Scores that are -inf by a rule of their own, which no mask shows.

``where(k <= q, score, -inf)`` is a mask, and is made one. ``where(score > 0, score, -inf)`` is
none: which keys a query has is known only once q and k are.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, Where
from maskc.ir.types import ArithOp, Fn


def hidden_inf(score: Expr, sign: float = -1.0) -> Expr | None:
    """Return the infinity in the text that a simplified score may turn out to be, or None.

    Args:
        score: the score.
        sign: of the infinity, -1 or 1.

    """
    match score:
        case FloatConst(value):
            return score if value == sign * math.inf else None
        case Where(_, then, other):
            return _first(hidden_inf(then, sign), hidden_inf(other, sign))
        case Arith(op, left, right):
            return _of_arithmetic(op, left, right, sign)
        case Call(Fn.NEG, (arg,)):
            return hidden_inf(arg, -sign)
        case Call(Fn.ABS, (arg,)):
            return _either(arg) if sign > 0 else None
        case Call(Fn.MIN | Fn.MAX as fn, args):
            return _of_extreme(fn, args, sign)
        case Call(Fn.CLAMP, (arg, least, most)):
            return hidden_inf(Call(Fn.MIN, (Call(Fn.MAX, (arg, least)), most)), sign)
        case _:
            return None


def _of_arithmetic(op: ArithOp, left: Expr, right: Expr, sign: float) -> Expr | None:
    match op:
        case ArithOp.ADD:
            return _first(hidden_inf(left, sign), hidden_inf(right, sign))
        case ArithOp.SUB:
            return _first(hidden_inf(left, sign), hidden_inf(right, -sign))
        case ArithOp.MUL:
            return _first(_either(left), _either(right))
        case ArithOp.DIV:
            return _either(left)
        case _:
            return None


def _of_extreme(fn: Fn, args: tuple[Expr, ...], sign: float) -> Expr | None:
    """One argument is enough for the least to be -inf; for the largest all have to be."""
    found = [hidden_inf(arg, sign) for arg in args]
    one_is_enough = (fn is Fn.MIN) is (sign < 0)
    return _first(*found) if one_is_enough or None not in found else None


def _either(expr: Expr) -> Expr | None:
    return _first(hidden_inf(expr, -1.0), hidden_inf(expr, 1.0))


def _first(*found: Expr | None) -> Expr | None:
    return next((one for one in found if one is not None), None)
