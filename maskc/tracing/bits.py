"""Bitwise operations: of booleans, of ints with constants, and what the language has itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from maskc.ir.nodes import Arith, Call, Compare, Expr, IntConst
from maskc.ir.types import ArithOp, CompareOp, Fn, Type
from maskc.tracing.refuse import refusal
from maskc.tracing.terms import conjunction, disjunction, negation, number, total

Builder = Callable[..., Expr]

MOST_FIELDS = 2
"""Runs of ones in a constant mask that are written out by ``//`` and ``%``."""


def _and(kind: Type, left: Expr, right: Expr) -> Expr:
    if kind is Type.BOOL:
        return conjunction((left, right))
    for term, mask in ((left, right), (right, left)):
        fields = list(_fields(mask.value)) if isinstance(mask, IntConst) else []
        if fields and len(fields) <= MOST_FIELDS:
            return total((_field(number(term), *field) for field in fields), ArithOp.ADD)
    return _own("bitand", "&", left, right)


def _fields(mask: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of ones of a mask, as their first bit and how many there are."""
    bit = 0
    while mask > 0 and mask >> bit:
        first = bit
        while mask >> bit & 1:
            bit += 1
        if bit > first:
            yield first, bit - first
        bit += 1


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
    return _own("bitor", "|", left, right)


def _xor(kind: Type, left: Expr, right: Expr) -> Expr:
    if kind is Type.BOOL:
        return Compare(CompareOp.NE, left, right)
    return _own("bitxor", "^", left, right)


def _not(kind: Type, arg: Expr) -> Expr:
    if kind is Type.BOOL:
        return negation(arg)
    return Arith(ArithOp.SUB, IntConst(-1), number(arg))


def _shift(op: ArithOp, own: str, sign: str) -> Builder:
    def build(kind: Type, arg: Expr, by: Expr) -> Expr:
        if isinstance(by, IntConst) and 0 <= by.value < 32:
            return Arith(op, number(arg), IntConst(2**by.value))
        return _own(own, sign, arg, by)

    return build


def _own(name: str, sign: str, left: Expr, right: Expr) -> Expr:
    """Return the language's own operation on bits, or refuse where it has none."""
    for fn in Fn:
        if fn.value == name:
            return Call(fn, (number(left), number(right)))
    raise refusal("M707", f"`{sign}` on the bits of two ints has no translation")


BITWISE: Mapping[str, Builder] = {
    "bitwise_and": _and,
    "bitwise_or": _or,
    "bitwise_xor": _xor,
    "bitwise_not": _not,
    "__and__": _and,
    "__or__": _or,
    "__xor__": _xor,
    "bitwise_left_shift": _shift(ArithOp.MUL, "shl", "<<"),
    "bitwise_right_shift": _shift(ArithOp.FLOORDIV, "shr", ">>"),
    "__lshift__": _shift(ArithOp.MUL, "shl", "<<"),
    "__rshift__": _shift(ArithOp.FLOORDIV, "shr", ">>"),
}
