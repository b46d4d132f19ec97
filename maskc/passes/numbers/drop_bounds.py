"""Least and largest: ``max(q, 0)`` is ``q``; ``abs`` of what is never negative is itself.

Clamps guard against values that the known ranges already exclude. Ints only, but for
``min(x, inf)`` and ``max(x, -inf)``, which are ``x`` for every float, NaN included.
"""

from __future__ import annotations

import math

from maskc.ir.linear import Linear, linear, order, to_expr
from maskc.ir.nodes import Call, Expr, FloatConst, IntConst
from maskc.ir.operators import Fn
from maskc.ir.types import Type
from maskc.passes.numbers.drop_conversions import as_type
from maskc.passes.support.ranges import Lowest, lowest

_NEUTRAL = {Fn.MIN: math.inf, Fn.MAX: -math.inf}


def drop_bounds(expr: Expr, low: Lowest = lowest) -> Expr | None:
    """Return ``expr`` without the arguments that never decide it.

    Args:
        expr: any term.
        low: what is known of the least value of a sum where the term is evaluated.

    """
    match expr:
        case Call(Fn.ABS, (arg,)) if arg.type is Type.INT:
            return _absolute(arg, low)
        case Call(Fn.MIN | Fn.MAX, args) if expr.type is Type.FLOAT:
            kept = [arg for arg in args if not _is_neutral(arg, expr.fn)]
            return None if len(kept) == len(args) else _of_floats(expr, kept)
        case Call(Fn.MIN | Fn.MAX, args):
            return _extreme(expr.fn, args, low)
        case Call(Fn.CLAMP, (arg, least, most)) if expr.type is Type.INT:
            return _clamp(arg, least, most, low)
        case _:
            return None


def _absolute(arg: Expr, low: Lowest) -> Expr | None:
    form = linear(arg)
    if _is_positive(form, low):
        return arg
    if _is_positive(-form, low):
        return to_expr(-form)
    if form.terms and form.terms[0][1] < 0:
        return Call(Fn.ABS, (to_expr(-form),))
    return None


def _extreme(fn: Fn, args: tuple[Expr, ...], low: Lowest) -> Expr | None:
    flat: list[Expr] = []
    for arg in args:
        flat.extend(arg.args if isinstance(arg, Call) and arg.fn is fn else (arg,))
    kept: list[Expr] = []
    for arg in sorted(dict.fromkeys(flat), key=_constants_last):
        if any(_decides(fn, other, arg, low) for other in kept):
            continue
        kept = [other for other in kept if not _decides(fn, arg, other, low)]
        kept.append(arg)
    if tuple(kept) == args:
        return None
    return kept[0] if len(kept) == 1 else Call(fn, tuple(kept))


def _decides(fn: Fn, left: Expr, right: Expr, low: Lowest) -> bool:
    """Tell whether ``fn(left, right)`` is always ``left``."""
    first, second = (left, right) if fn is Fn.MAX else (right, left)
    return _is_positive(linear(first) - linear(second), low)


def _clamp(arg: Expr, least: Expr, most: Expr, low: Lowest) -> Expr | None:
    """Drop the bounds that never bind; ``clamp`` is ``min(max(arg, least), most)``."""
    if _decides(Fn.MAX, arg, least, low):
        return Call(Fn.MIN, (arg, most))
    if _decides(Fn.MIN, arg, most, low) and _decides(Fn.MIN, least, most, low):
        return Call(Fn.MAX, (arg, least))
    return None


def _is_positive(form: Linear, low: Lowest) -> bool:
    least = low(form)
    return least is not None and least >= 0


def _of_floats(expr: Call, kept: list[Expr]) -> Expr:
    if not kept:
        return FloatConst(_NEUTRAL[expr.fn])
    least = kept[0] if len(kept) == 1 else Call(expr.fn, tuple(kept))
    return as_type(least, Type.FLOAT)


def _is_neutral(arg: Expr, fn: Fn) -> bool:
    return isinstance(arg, FloatConst) and arg.value == _NEUTRAL[fn]


def _constants_last(arg: Expr) -> tuple[bool, tuple[int, int, str]]:
    return isinstance(arg, IntConst), order(arg)
