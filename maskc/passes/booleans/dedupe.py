"""Idempotence: ``a & b & a`` becomes ``a & b``; the first of equal operands stays.

Named masks are often joined twice. The first stays because a later operand may rely on it as its
guard.
"""

from __future__ import annotations

from maskc.ir.nodes import And, Expr, Or
from maskc.passes.booleans.flatten import joined


def dedupe(expr: Expr) -> Expr | None:
    """Return ``expr`` with each operand once."""
    match expr:
        case And(args) | Or(args):
            kept = tuple(dict.fromkeys(args))
            return None if len(kept) == len(args) else joined(type(expr), kept)
        case _:
            return None
