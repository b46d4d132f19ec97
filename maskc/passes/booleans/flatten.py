"""Flattening: ``(a & b) & c`` becomes ``a & b & c``; ``true`` and ``false`` are absorbed.

Every law about operands of a connective then sees all of them at once.
"""

from __future__ import annotations

from maskc.ir.nodes import FALSE, TRUE, And, Expr, Or


def flatten(expr: Expr) -> Expr | None:
    """Return ``expr`` without operands of its own kind and without constants."""
    match expr:
        case And(args):
            neutral, dominant = TRUE, FALSE
        case Or(args):
            neutral, dominant = FALSE, TRUE
        case _:
            return None
    if dominant in args:
        return dominant
    flat: list[Expr] = []
    for arg in args:
        if type(arg) is type(expr):
            flat.extend(arg.args)
        elif arg != neutral:
            flat.append(arg)
    if tuple(flat) == args:
        return None
    return joined(type(expr), flat)


def joined(kind: type[And | Or], args: list[Expr] | tuple[Expr, ...]) -> Expr:
    """Return the conjunction or disjunction of any number of operands."""
    if not args:
        return TRUE if kind is And else FALSE
    return args[0] if len(args) == 1 else kind(tuple(args))
