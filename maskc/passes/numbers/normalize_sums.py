"""Sums in normal form: ``k + 511 - k + q`` becomes ``q + 511``; ``(x // n) * n + x % n`` is ``x``.

Equal index arithmetic gets equal text, so that equal subscripts are loaded once and comparisons
of one distance meet in ``constrain``. Ints only: a sum of floats rounds in the order it is written.
"""

from __future__ import annotations

from maskc.ir.linear import Linear, fits, linear, to_expr
from maskc.ir.nodes import Arith, Call, Expr, IntConst
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.types import Type


def normalize_sums(expr: Expr) -> Expr | None:
    """Return the sum in normal form."""
    match expr:
        case Arith(ArithOp.ADD | ArithOp.SUB | ArithOp.MUL) | Call(Fn.NEG):
            if expr.type is not Type.INT:
                return None
            form = rejoined(linear(expr))
            return to_expr(form) if fits(form) else None
        case _:
            return None


def rejoined(form: Linear) -> Linear:
    """Apply ``x == n * (x // n) + x % n`` wherever that saves an operation."""
    for term, factor in form.terms:
        match term:
            case Arith(ArithOp.FLOORDIV, value, IntConst(n)) if n > 0 and factor % n == 0:
                times = factor // n
            case Arith(ArithOp.MOD, value, IntConst(n)) if n > 0:
                times = factor
            case _:
                continue
        shorter = form.plus(_zero(value, n), times)
        if _cost(shorter) < _cost(form):
            return rejoined(shorter)
    return form


def _zero(value: Expr, n: int) -> Linear:
    """Return ``x - n * (x // n) - x % n`` for ``value`` as x."""
    parts: dict[Expr, int] = {
        Arith(ArithOp.FLOORDIV, value, IntConst(n)): -n,
        Arith(ArithOp.MOD, value, IntConst(n)): -1,
    }
    return linear(value) + Linear.of(parts, 0)


def _cost(form: Linear) -> tuple[int, int]:
    terms = len(form.terms) + bool(form.constant)
    return terms, sum(term.weight + (abs(factor) != 1) for term, factor in form.terms)
