"""The typing rules of the operators: what an operand must be, said once.

Each function takes finished operands and returns the node, or raises the error that names the
operand. Positions are given by the syntax tree's spans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from maskc.errors import MaskTypeError
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    FloatConst,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    Value,
    Where,
    walk,
)
from maskc.ir.operators import ARITHMETIC, COMPARISONS, ArithOp, CompareOp, Fn, Function, Takes
from maskc.ir.types import Dim, Type
from maskc.limits import MAX_FLOAT, MAX_INT, held
from maskc.source import Span

_SIDES = ("on its left", "on its right")

_FLIPPED = {">": CompareOp.LT, ">=": CompareOp.LE}


def boolean(expr: Expr, owner: str, place: str) -> Expr:
    """Return ``expr`` if it is a bool."""
    if expr.type is Type.BOOL:
        return expr
    message = f"{_needs(owner, 'a boolean', place)}, found {expr.type.article}"
    raise MaskTypeError("M201", message, expr.span, f"compare it, as in `{_shown(expr)} > 0`")


def number(expr: Expr, owner: str, place: str) -> Expr:
    """Return ``expr`` if it is an int or a float."""
    if expr.type is not Type.BOOL:
        return expr
    message = f"{_needs(owner, 'a number', place)}, found a bool"
    shown = _shown(expr)
    match owner.strip("`"):
        case "<" | "<=" | ">" | ">=" | "==" | "!=":
            negated = shown if shown.isidentifier() else f"({shown})"
            help = f"a boolean needs no comparison: write `{shown}` or `!{negated}`"
            if isinstance(expr, BoolConst):
                help = "a boolean needs no comparison: leave it out, or negate with `!`"
        case "+" | "-" | "*" | "/":
            help = f"masks are joined with `&`, `|` and `!`; a number is `int({shown})`"
        case _:
            help = f"turn it into one, as in `int({shown})`"
    raise MaskTypeError("M202", message, expr.span, help)


def connective(op: str, operands: Sequence[Expr], span: Span) -> Expr:
    """Return ``a & b & ...`` or ``a | b | ...``."""
    checked = tuple(
        boolean(operand, f"`{op}`", _SIDES[index > 0]) for index, operand in enumerate(operands)
    )
    return And(checked, span=span) if op == "&" else Or(checked, span=span)


def negation(operand: Expr, span: Span) -> Expr:
    """Return ``!operand``."""
    return Not(boolean(operand, "`!`", _SIDES[1]), span=span)


def minus(operand: Expr, span: Span) -> Expr:
    """Return ``-operand``; the minus of a literal belongs to it."""
    match number(operand, "`-`", _SIDES[1]):
        case IntConst(value):
            return IntConst(-value, span=span)
        case FloatConst(value):
            return FloatConst(-value, span=span)
        case checked:
            return Call(Fn.NEG, (checked,), span=span)


def binary(op: str, left: Expr, right: Expr, span: Span) -> Expr:
    """Return ``left op right`` for arithmetic and ``^``."""
    if op == "^":
        return _exclusive(left, right, span)
    number(left, f"`{op}`", _SIDES[0])
    number(right, f"`{op}`", _SIDES[1])
    if op == "**" and right.type is Type.INT and (exponent := constant(right)) is not None:
        right = IntConst(int(exponent), span=right.span)
    return _bounded(Arith(ARITHMETIC[op], left, right, span=span))


def comparison(op: str, left: Expr, right: Expr, span: Span) -> Expr:
    """Return ``left op right``; ``>`` and ``>=`` are kept the other way round."""
    if left.type is Type.BOOL and right.type is Type.BOOL and op in ("==", "!="):
        return Compare(COMPARISONS[op], left, right, span=span)
    number(left, f"`{op}`", _SIDES[0])
    number(right, f"`{op}`", _SIDES[1])
    if op in _FLIPPED:
        return Compare(_FLIPPED[op], right, left, span=span)
    return Compare(COMPARISONS[op], left, right, span=span)


def choice(owner: str, cond: Expr, then: Expr, other: Expr, span: Span) -> Expr:
    """Return ``where(cond, then, other)``; both results are bools, or both are numbers."""
    boolean(cond, owner, "as its condition")
    if (then.type is Type.BOOL) != (other.type is Type.BOOL):
        raise MaskTypeError(
            "M203",
            f"{owner} needs two booleans or two numbers to choose from, "
            f"found {then.type.article} and {other.type.article}",
            span,
            "a masked score is `where(test, score, -inf)`",
        )
    return Where(cond, then, other, span=span)


def call(fn: Fn, args: Sequence[Expr], span: Span) -> Expr:
    """Return ``fn(*args)``, the arguments kept within the function's limits."""
    entry = fn.value
    least, most = entry.arity
    if len(args) < least or (most is not None and len(args) > most):
        expected = str(least) if least == most else f"at least {least}"
        plural = "argument" if least == most == 1 else "arguments"
        message = f"`{entry.name}` takes {expected} {plural}, found {len(args)}"
        raise MaskTypeError("M204", message, span, f"write `{entry.form}`")
    for arg in args:
        _check_argument(entry, arg)
    return Call(fn, tuple(map(_limited, args, entry.limits or [None] * len(args))), span=span)


def _check_argument(entry: Function, arg: Expr) -> None:
    if entry.takes is Takes.ANYTHING:
        return
    number(arg, f"`{entry.name}`", "")
    if entry.takes is Takes.INTS and arg.type is not Type.INT:
        message = f"`{entry.name}` needs ints, found {arg.type.article}"
        raise MaskTypeError("M233", message, arg.span, f"convert it: `int({_shown(arg)})`")


def _limited(arg: Expr, limits: tuple[int, int] | None) -> Expr:
    match arg, limits:
        case _, None:
            return arg
        case IntConst(value), (least, most) if least <= value <= most:
            return arg
        case _, (least, most):
            return Call(Fn.CLAMP, (arg, IntConst(least), IntConst(most)), span=arg.span)
        case _:
            assert_never(limits)


def constant(expr: Expr) -> bool | int | float | None:
    """Return the value of an expression without indices, sizes and inputs, None for others."""
    if expr.deps is not Dim.NONE or any(isinstance(t, Load | Size | Value) for t in walk(expr)):
        return None
    try:
        return evaluate(expr, Point(), Env({}))
    except ZeroDivisionError:
        return None


def _exclusive(left: Expr, right: Expr, span: Span) -> Expr:
    for place, operand in zip(_SIDES, (left, right), strict=True):
        if operand.type is not Type.BOOL:
            raise MaskTypeError(
                "M201",
                f"`^` needs a boolean {place}, found {operand.type.article}",
                operand.span,
                "`^` is exclusive or; a power is written `**`",
            )
    return Compare(CompareOp.NE, left, right, span=span)


def _bounded(expr: Arith) -> Expr:
    """Refuse a division by zero and a constant that no kernel can hold."""
    left, right = constant(expr.left), constant(expr.right)
    if expr.op in (ArithOp.FLOORDIV, ArithOp.MOD) and right == 0 and expr.type is Type.INT:
        message = f"`{expr.op.symbol}` divides by zero"
        raise MaskTypeError("M205", message, expr.right.span, "divide by another number")
    if left is None or right is None:
        return expr
    if expr.type is Type.FLOAT:
        return _bounded_float(expr)
    if expr.op is ArithOp.POW and abs(left) > 1 and right * math.log2(abs(left)) > 32:
        raise _too_large(expr)
    value = constant(expr)
    if value is not None and abs(value) > MAX_INT:
        raise _too_large(expr)
    return expr


def _bounded_float(expr: Arith) -> Arith:
    try:
        value = constant(expr)
    except OverflowError:
        value = None
    if value is not None and math.isinf(held(value)) and not math.isinf(value):
        message = f"the constant is larger than {MAX_FLOAT:.7e}"
        raise MaskTypeError("M206", message, expr.span, "floats have 32 bits; write `inf`")
    return expr


def _too_large(expr: Expr) -> MaskTypeError:
    message = f"the constant is larger than {MAX_INT}"
    return MaskTypeError("M206", message, expr.span, "compute with floats, as in `2.0 ** 40`")


def _needs(owner: str, what: str, place: str) -> str:
    return f"{owner} needs {what} {place}" if place else f"{owner} needs {what}"


def _shown(expr: Expr) -> str:
    text = expr.span.text if expr.span is not None else ""
    return text if 0 < len(text) <= 40 and "\n" not in text else "..."
