"""Terms as a person would write them: no ``true & x``, no nested ``&``, no converted constant.

Conversions are torch's: ``True + True`` is 2, and a number as a boolean is ``x != 0``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from maskc.ir.nodes import (
    FALSE,
    TRUE,
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    FloatConst,
    IntConst,
    Not,
    Or,
)
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Type
from maskc.limits import MAX_FLOAT, MAX_INT, held
from maskc.tracing.callables.refusals import refusal

Number = bool | int | float


def constant(value: Number) -> Expr:
    """Return a Python number as a term.

    Raises:
        TraceError: no program can write a number as large.

    """
    match value:
        case bool():
            return TRUE if value else FALSE
        case int():
            if abs(value) > MAX_INT:
                help = "use a smaller one, or compute with floats"
                raise refusal("M107", f"the int {value} is larger than {MAX_INT}", help)
            return IntConst(value)
        case _:
            if math.isnan(value):
                help = "`x != x` tells whether a number is NaN"
                raise refusal("M107", "no program can write NaN", help)
            if math.isinf(held(value)) and not math.isinf(value):
                help = "use `float('inf')`"
                raise refusal("M107", f"the float {value} is larger than {MAX_FLOAT:.7e}", help)
            return FloatConst(held(value))


def number(term: Expr) -> Expr:
    """Return a boolean as 0 or 1, and a number as it is."""
    if isinstance(term, BoolConst):
        return IntConst(int(term.value))
    return Call(Fn.INT, (term,)) if term.type is Type.BOOL else term


def truth(term: Expr) -> Expr:
    """Return whether a term is not 0."""
    match term:
        case IntConst(value) | FloatConst(value):
            return TRUE if value else FALSE
        case _ if term.type is Type.BOOL:
            return term
        case _:
            return Compare(CompareOp.NE, term, IntConst(0))


def as_type(term: Expr, type: Type) -> Expr:
    """Return a term converted as ``Tensor.to`` converts it."""
    if term.type is type:
        return term
    if type is Type.BOOL:
        return truth(term)
    if isinstance(term, BoolConst | IntConst | FloatConst) and math.isfinite(term.value):
        return constant(int(term.value) if type is Type.INT else float(term.value))
    return Call(Fn.INT if type is Type.INT else Fn.FLOAT, (term,))


def conjunction(parts: Iterable[Expr]) -> Expr:
    """Return the flat ``&`` of boolean terms."""
    kept = [arg for part in parts for arg in (part.args if isinstance(part, And) else (part,))]
    kept = [arg for arg in kept if arg != TRUE]
    if FALSE in kept:
        return FALSE
    if len(kept) > 1:
        return And(tuple(kept))
    return kept[0] if kept else TRUE


def disjunction(parts: Iterable[Expr]) -> Expr:
    """Return the flat ``|`` of boolean terms."""
    kept = [arg for part in parts for arg in (part.args if isinstance(part, Or) else (part,))]
    kept = [arg for arg in kept if arg != FALSE]
    if TRUE in kept:
        return TRUE
    if len(kept) > 1:
        return Or(tuple(kept))
    return kept[0] if kept else FALSE


def negation(term: Expr) -> Expr:
    """Return the opposite of a boolean term."""
    match term:
        case BoolConst(value):
            return FALSE if value else TRUE
        case Not(arg):
            return arg
        case _:
            return Not(term)


def total(parts: Iterable[Expr], op: ArithOp) -> Expr:
    """Return the sum or product of numbers as a balanced tree, so that depth stays small."""
    terms = list(parts)
    if not terms:
        return IntConst(0 if op is ArithOp.ADD else 1)
    while len(terms) > 1:
        pairs: list[Expr] = [
            Arith(op, first, second) for first, second in zip(terms[::2], terms[1::2], strict=False)
        ]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]
