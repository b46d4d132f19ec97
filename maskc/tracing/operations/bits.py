"""Bitwise operations of booleans and ints; with a constant they are written by ``//`` and ``%``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maskc.ir.nodes import Arith, Call, Compare, Expr, IntConst
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Type
from maskc.tracing.operations.terms import conjunction, disjunction, negation, number

Builder = Callable[..., Expr]


def _and(kind: Type, left: Expr, right: Expr) -> Expr:
    if kind is Type.BOOL:
        return conjunction((left, right))
    for term, mask in ((left, right), (right, left)):
        field = _run_of_ones(mask.value) if isinstance(mask, IntConst) else None
        if field is not None:
            return _field(number(term), *field)
    return Call(Fn.BITAND, (number(left), number(right)))


def _run_of_ones(mask: int) -> tuple[int, int] | None:
    """Return the first bit and the length of the one run of ones that a mask is, None for others.

    The simplifier and the bounds know ``//`` and ``%`` better than they know bits.
    """
    if mask <= 0:
        return None
    first = (mask & -mask).bit_length() - 1
    width = (mask >> first).bit_length()
    return (first, width) if mask >> first == 2**width - 1 else None


def _field(term: Expr, first: int, width: int) -> Expr:
    """Return ``width`` bits of an int; ``//`` and ``%`` floor, as two's complement does."""
    if not first:
        return Arith(ArithOp.MOD, term, IntConst(2**width))
    shifted = Arith(ArithOp.FLOORDIV, term, IntConst(2**first))
    field = Arith(ArithOp.MOD, shifted, IntConst(2**width))
    return Arith(ArithOp.MUL, field, IntConst(2**first))


def _or(kind: Type, left: Expr, right: Expr) -> Expr:
    if kind is Type.BOOL:
        return disjunction((left, right))
    return Call(Fn.BITOR, (number(left), number(right)))


def _xor(kind: Type, left: Expr, right: Expr) -> Expr:
    if kind is Type.BOOL:
        return Compare(CompareOp.NE, left, right)
    return Call(Fn.BITXOR, (number(left), number(right)))


def _not(kind: Type, arg: Expr) -> Expr:
    if kind is Type.BOOL:
        return negation(arg)
    return Arith(ArithOp.SUB, IntConst(-1), number(arg))


def _shift(op: ArithOp, own: Fn) -> Builder:
    def build(kind: Type, arg: Expr, by: Expr) -> Expr:
        if isinstance(by, IntConst) and 0 <= by.value < 32:
            return Arith(op, number(arg), IntConst(2**by.value))
        return Call(own, (number(arg), number(by)))

    return build


BITWISE: Mapping[str, Builder] = {
    "bitwise_and": _and,
    "bitwise_or": _or,
    "bitwise_xor": _xor,
    "bitwise_not": _not,
    "__and__": _and,
    "__or__": _or,
    "__xor__": _xor,
    "bitwise_left_shift": _shift(ArithOp.MUL, Fn.SHL),
    "bitwise_right_shift": _shift(ArithOp.FLOORDIV, Fn.SHR),
    "__lshift__": _shift(ArithOp.MUL, Fn.SHL),
    "__rshift__": _shift(ArithOp.FLOORDIV, Fn.SHR),
}
