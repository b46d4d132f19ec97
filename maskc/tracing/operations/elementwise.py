"""What torch's elementwise operations mean: one entry each, from aten's name to a term.

A builder gets the type that torch gives the result, and the operands as terms. A function that the
language has under torch's name needs no entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch

from maskc.ir.nodes import (
    FALSE,
    TRUE,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    FloatConst,
    IntConst,
    Where,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn, Gives
from maskc.ir.types import Type
from maskc.limits import MAX_ROUNDED
from maskc.tracing.callables.refusals import refusal
from maskc.tracing.operations.bits import BITWISE
from maskc.tracing.operations.magnitude import largest
from maskc.tracing.operations.terms import (
    Number,
    as_type,
    conjunction,
    constant,
    disjunction,
    negation,
    number,
    truth,
)

Builder = Callable[..., Expr]

ZERO, ONE, INFINITY = FloatConst(0.0), FloatConst(1.0), FloatConst(math.inf)
LINEAR = IntConst(20)
"""Where torch's softplus takes x for log(1 + exp(x))."""


def _arith(op: ArithOp) -> Builder:
    def build(kind: Type, left: Expr, right: Expr, alpha: Number = 1) -> Expr:
        if kind is Type.BOOL:  # torch adds and multiplies booleans as `|` and `&`
            return (disjunction if op is ArithOp.ADD else conjunction)((left, right))
        scaled = number(right)
        if alpha != 1:
            scaled = Arith(ArithOp.MUL, constant(alpha), scaled)
        widened = _widened(number(left), scaled, kind)
        if op is ArithOp.MUL and kind is Type.FLOAT and isinstance(scaled, IntConst | FloatConst):
            return Arith(op, scaled, widened)  # as a person writes it: `cap * tanh(...)`
        return Arith(op, widened, scaled)

    return build


def _widened(left: Expr, right: Expr, kind: Type) -> Expr:
    """Return ``left`` as a float where torch computes with floats and both operands are ints."""
    both = left.type is Type.INT and right.type is Type.INT
    return as_type(left, Type.FLOAT) if kind is Type.FLOAT and both else left


def _compare(op: CompareOp, flip: bool = False) -> Builder:
    def build(kind: Type, left: Expr, right: Expr) -> Expr:
        if flip:
            left, right = right, left
        known = _known_truth(left, right) if op in (CompareOp.EQ, CompareOp.NE) else None
        if known is not None:
            term, same = known
            return term if same is (op is CompareOp.EQ) else negation(term)
        if not (left.type is right.type is Type.BOOL and op in (CompareOp.EQ, CompareOp.NE)):
            left, right = number(left), number(right)
        return Compare(op, left, right)

    return build


def _known_truth(left: Expr, right: Expr) -> tuple[Expr, bool] | None:
    """Return a boolean and the constant 0 or 1 that it is compared with, None for others."""
    for term, value in ((left, right), (right, left)):
        match value:
            case BoolConst(0 | 1 as known) | IntConst(0 | 1 as known) if term.type is Type.BOOL:
                return term, bool(known)
            case _:
                pass
    return None


def _call(fn: Fn) -> Builder:
    def build(kind: Type, *args: Expr) -> Expr:
        numbers = [number(arg) for arg in args]
        keeps = fn.value.gives is Gives.WIDEST  # an int of ints, where torch wants a float
        if keeps and kind is Type.FLOAT and all(arg.type is Type.INT for arg in numbers):
            numbers[0] = as_type(numbers[0], Type.FLOAT)
        return Call(fn, tuple(numbers))

    return build


def _rounded(fn: Fn) -> Builder:
    """Return what rounds: to ints in the language, to floats in torch."""

    def build(kind: Type, arg: Expr, decimals: int = 0) -> Expr:
        if decimals:
            help = "scale before and after"
            raise refusal("M807", "`round` to decimals has no translation", help)
        if arg.type is Type.INT:
            return arg
        whole = Call(Fn.FLOAT, (Call(fn, (number(arg),)),))
        if largest(arg) <= MAX_ROUNDED:
            return whole
        # What no int holds has no fraction in float32, and stays: it may be infinite, or no number.
        small = Compare(CompareOp.LT, Call(Fn.ABS, (arg,)), FloatConst(float(MAX_ROUNDED)))
        return Where(small, whole, arg)

    return build


def _nan_to_num(
    kind: Type,
    arg: Expr,
    nan: Expr | None = None,
    most: Expr | None = None,
    least: Expr | None = None,
) -> Expr:
    if most is None or least is None:
        help = "name both: `torch.nan_to_num(x, 0.0, posinf, neginf)`"
        raise refusal("M807", "`nan_to_num` without bounds takes those of the dtype", help)
    value = as_type(arg, Type.FLOAT)
    for bound, infinity in ((most, math.inf), (least, -math.inf)):
        is_infinite = Compare(CompareOp.EQ, arg, FloatConst(infinity))
        value = Where(is_infinite, as_type(bound, Type.FLOAT), value)
    zero = ZERO if nan is None else as_type(nan, Type.FLOAT)
    return Where(Compare(CompareOp.NE, arg, arg), zero, value)


def _divide(kind: Type, left: Expr, right: Expr, rounding_mode: str | None = None) -> Expr:
    match rounding_mode:
        case None:
            return Arith(ArithOp.DIV, number(left), number(right))
        case "floor":
            return Arith(ArithOp.FLOORDIV, number(left), number(right))
        case _:
            return _truncated_quotient(kind, number(left), number(right))


def check_floored(lefts: Iterable[Expr | None], rights: Iterable[Expr | None]) -> None:
    """Refuse `//` of floats where torch, which subtracts the remainder before it divides, differs.

    A program takes the floor of the quotient: 10 of ``1 // 0.1``, which is 9 in torch.
    """
    for left, right in zip(lefts, rights, strict=True):
        if left is not None and _divides_exactly(left, right):
            continue
        help = "write `torch.floor(a / b)`, or divide ints"
        raise refusal("M807", "`//` of floats in a mask is rounded otherwise in torch", help)


def _divides_exactly(left: Expr, right: Expr | None) -> bool:
    """Tell whether a quotient is not rounded across a whole number: ints by ints, and halves."""
    if not isinstance(right, IntConst | FloatConst) or not right.value:
        return False
    is_power = abs(math.frexp(right.value)[0]) == 0.5
    return is_power or (left.type is Type.INT and float(right.value).is_integer())


def _truncated_quotient(kind: Type, left: Expr, right: Expr) -> Expr:
    """Return a quotient rounded towards 0."""
    if kind is Type.FLOAT:
        return _rounded(Fn.INT)(kind, Arith(ArithOp.DIV, left, right))
    below = [Compare(CompareOp.LT, term, IntConst(0)) for term in (left, right)]
    positive = isinstance(right, IntConst) and right.value > 0
    negated = Arith(ArithOp.FLOORDIV, Call(Fn.NEG, (left,)), right)
    return Where(
        below[0] if positive else Compare(CompareOp.NE, *below),
        Call(Fn.NEG, (negated,)),
        Arith(ArithOp.FLOORDIV, left, right),
    )


def _power(kind: Type, base: Expr, exponent: Expr) -> Expr:
    power = Arith(ArithOp.POW, number(base), number(exponent))
    if kind is Type.INT and power.type is not Type.INT:
        help = "make the base a float: `2.0 ** x`"
        raise refusal("M807", "an int to a power that is no constant has no translation", help)
    return power


def _clamp(kind: Type, arg: Expr, least: Expr | None = None, most: Expr | None = None) -> Expr:
    value = as_type(number(arg), kind)
    if least is not None and most is not None:
        return Call(Fn.CLAMP, (value, number(least), number(most)))
    if least is not None:
        return Call(Fn.MAX, (value, number(least)))
    return value if most is None else Call(Fn.MIN, (value, number(most)))


def _where(kind: Type, cond: Expr, then: Expr, other: Expr) -> Expr:
    cond = truth(cond)
    if isinstance(cond, BoolConst):
        return as_type(then if cond.value else other, kind)
    if kind is Type.BOOL and other == FALSE:
        return conjunction((cond, then))
    if kind is Type.BOOL and then == TRUE:
        return disjunction((cond, other))
    if kind is not Type.FLOAT:
        return Where(cond, as_type(then, kind), as_type(other, kind))
    return Where(cond, _widened(number(then), number(other), kind), number(other))


def _softplus(kind: Type, arg: Expr, beta: Expr = ONE, threshold: Expr = LINEAR) -> Expr:
    """Return log(1 + exp(beta * x)) / beta, and beside torch's threshold x, which it equals there.

    log(1 + exp(x)) - x is less than float32 tells apart of x from 16 on.
    """
    least = number(threshold)
    if not (isinstance(least, IntConst | FloatConst) and least.value >= LINEAR.value):
        help = f"leave the threshold at {LINEAR.value}"
        raise refusal("M807", "`softplus` with a low threshold has no translation", help)
    scale = number(beta)
    if isinstance(scale, IntConst | FloatConst) and scale.value == 1:
        return Call(Fn.SOFTPLUS, (number(arg),))
    return Arith(ArithOp.DIV, Call(Fn.SOFTPLUS, (Arith(ArithOp.MUL, scale, number(arg)),)), scale)


def _log_sigmoid(term: Expr) -> Expr:
    """Return log(sigmoid(x)) = -softplus(-x), which does not overflow."""
    return Call(Fn.NEG, (Call(Fn.SOFTPLUS, (Call(Fn.NEG, (term,)),)),))


def _formula(build: Callable[[Expr], Expr]) -> Builder:
    """Return the builder of a function of one float."""
    return lambda kind, arg: build(number(arg))


_OWN: Mapping[str, Builder] = {
    fn.value.name: _call(fn) for fn in Fn if hasattr(torch.ops.aten, fn.value.name)
}
"""The functions that torch and the language have under one name."""

ELEMENTWISE: Mapping[str, Builder] = {
    **_OWN,
    **BITWISE,
    "add": _arith(ArithOp.ADD),
    "sub": _arith(ArithOp.SUB),
    "mul": _arith(ArithOp.MUL),
    "rsub": lambda kind, a, b, alpha=1: _arith(ArithOp.SUB)(kind, b, a, alpha),
    "div": _divide,
    "floor_divide": lambda kind, a, b: _divide(kind, a, b, "floor"),
    "remainder": lambda kind, a, b: Arith(ArithOp.MOD, number(a), number(b)),
    "pow": _power,
    "neg": _call(Fn.NEG),
    "minimum": _call(Fn.MIN),
    "maximum": _call(Fn.MAX),
    "floor": _rounded(Fn.FLOOR),
    "ceil": _rounded(Fn.CEIL),
    "round": _rounded(Fn.ROUND),
    "trunc": _rounded(Fn.INT),
    "eq": _compare(CompareOp.EQ),
    "ne": _compare(CompareOp.NE),
    "lt": _compare(CompareOp.LT),
    "le": _compare(CompareOp.LE),
    "gt": _compare(CompareOp.LT, flip=True),
    "ge": _compare(CompareOp.LE, flip=True),
    "logical_and": lambda kind, a, b: conjunction((truth(a), truth(b))),
    "logical_or": lambda kind, a, b: disjunction((truth(a), truth(b))),
    "logical_xor": lambda kind, a, b: Compare(CompareOp.NE, truth(a), truth(b)),
    "logical_not": lambda kind, a: negation(truth(a)),
    "where": _where,
    "masked_fill": lambda kind, x, mask, value: _where(kind, mask, value, x),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda kind, x, most: _clamp(kind, x, None, most),
    "sgn": _call(Fn.SIGN),
    "reciprocal": _formula(lambda x: Arith(ArithOp.DIV, ONE, x)),
    "square": lambda kind, x: Arith(ArithOp.MUL, number(x), number(x)),
    "silu": _formula(lambda x: Arith(ArithOp.MUL, x, Call(Fn.SIGMOID, (x,)))),
    "log_sigmoid_forward": _formula(_log_sigmoid),
    "softplus": _softplus,
    "nan_to_num": _nan_to_num,
    "isnan": lambda kind, x: Compare(CompareOp.NE, number(x), number(x)),
    "isinf": lambda kind, x: Compare(CompareOp.EQ, Call(Fn.ABS, (number(x),)), INFINITY),
    "isposinf": lambda kind, x: Compare(CompareOp.EQ, number(x), INFINITY),
    "isneginf": lambda kind, x: Compare(CompareOp.EQ, number(x), FloatConst(-math.inf)),
}
