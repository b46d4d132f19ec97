"""Scores that evaluate to -inf by themselves, where no mask says so.

``where(k <= q, score, -inf)`` becomes a mask. ``where(score > 0, score, -inf)`` cannot: which keys
a query has is known only once q and k are.
"""

from __future__ import annotations

import math
from itertools import product

from maskc.ir.nodes import Arith, Call, Expr, FloatConst, Where
from maskc.ir.operators import ArithOp, Fn

MOST_ARGUMENTS = 6
"""Of a call with more arguments, any infinity among them is taken to show."""


def hidden_inf(score: Expr, sign: float = -1.0) -> Expr | None:
    """Return the literal infinity the score may evaluate to, or None.

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
        case Call(fn, args):
            return _of_call(fn, args, sign)
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
            return _first(_either(left), _either(right))


def _of_call(fn: Fn, args: tuple[Expr, ...], sign: float) -> Expr | None:
    """Try every infinity that the arguments may be, and 0 for one that is finite."""
    if len(args) > MOST_ARGUMENTS:
        return _first(*map(_either, args))
    choices = [_values(arg) for arg in args]
    for values in product(*choices):
        culprit = _first(*(term for _, term in values))
        if culprit is not None and _is_infinite(fn, [value for value, _ in values], sign):
            return culprit
    return None


def _values(arg: Expr) -> list[tuple[float, Expr | None]]:
    """Return 0 for the finite values of an argument, and each infinity that it may be."""
    infinite = [(sign * math.inf, hidden_inf(arg, sign)) for sign in (-1.0, 1.0)]
    return [(0.0, None), *((value, term) for value, term in infinite if term is not None)]


def _is_infinite(fn: Fn, values: list[float], sign: float) -> bool:
    result = fn.value.scalar(*values)
    return isinstance(result, float) and result == sign * math.inf


def _either(expr: Expr) -> Expr | None:
    return _first(hidden_inf(expr, -1.0), hidden_inf(expr, 1.0))


def _first(*found: Expr | None) -> Expr | None:
    return next((one for one in found if one is not None), None)
