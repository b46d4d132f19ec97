"""Complement: ``a & !a`` becomes ``false``; ``a | !a`` becomes ``true``.

It comes up when masks of several layers are joined, and it is what empties a branch.
"""

from __future__ import annotations

from maskc.ir.nodes import FALSE, TRUE, And, Expr, Not, Or
from maskc.passes.booleans.negate import negated


def complement(expr: Expr) -> Expr | None:
    """Return the constant that an operand and its negation make."""
    match expr:
        case And(args):
            result = FALSE
        case Or(args):
            result = TRUE
        case _:
            return None
    present = set(args)
    for arg in args:
        opposite = negated(arg)
        if (opposite if opposite is not None else Not(arg)) in present:
            return result
    return None
