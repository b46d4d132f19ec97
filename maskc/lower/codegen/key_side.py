"""Comparisons as kernels like them, with nothing to compute for the key.

- ``0 <= q - k`` is ``k <= q``. Normal forms keep a band as one difference between two bounds; the
  end at 0 then costs a comparison of two indices (compiled on CPU, causal & window(512): 1.3 times
  faster). The two are equal for ints, as long as the difference fits in 64 bits.
- ``q // 64 == k // 64`` is ``first <= k & k < first + 64`` with ``first = q // 64 * 64``, and so
  for the other comparisons: processors divide ints one by one (chunks of 100: 1.3 times faster).
"""

from __future__ import annotations

from maskc.ir.nodes import And, Arith, Compare, Expr, IntConst, Or, rewrite
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.types import Dim, Type

LARGEST_STEP = 2**20
"""Divisors above this stay: what is added to a position must fit in 32 bits with it."""


def sides(expr: Expr) -> Expr:
    """Return ``expr`` with comparisons of differences and quotients as comparisons of a key."""
    return rewrite(expr, _side)


def _side(term: Expr) -> Expr | None:
    match term:
        case Compare(op, IntConst(0), Arith(ArithOp.SUB, left, right)) if _are_ints(left, right):
            return Compare(op, right, left, span=term.span)
        case Compare(op, Arith(ArithOp.SUB, left, right), IntConst(0)) if _are_ints(left, right):
            return Compare(op, left, right, span=term.span)
        case Compare(
            op,
            Arith(ArithOp.FLOORDIV, left, IntConst(step)),
            Arith(ArithOp.FLOORDIV, right, IntConst(other)),
        ) if step == other and 0 < step <= LARGEST_STEP and _are_ints(left, right):
            return _of_quotients(op, left, right, step)
        case _:
            return None


def _are_ints(left: Expr, right: Expr) -> bool:
    return left.type is Type.INT and right.type is Type.INT


def _of_quotients(op: CompareOp, left: Expr, right: Expr, step: int) -> Expr | None:
    """Return ``left // step op right // step`` as bounds of the side that depends on the key."""
    left_is_key, right_is_key = (Dim.K in side.deps for side in (left, right))
    if left_is_key == right_is_key:
        return None
    key, query = (left, right) if left_is_key else (right, left)
    first = Arith(ArithOp.MUL, Arith(ArithOp.FLOORDIV, query, IntConst(step)), IntConst(step))
    after = Arith(ArithOp.ADD, first, IntConst(step))
    match op:
        case CompareOp.EQ:
            return And((_not_after(first, key), _before(key, after)))
        case CompareOp.NE:
            return Or((_before(key, first), _not_after(after, key)))
        case CompareOp.LE:
            return _before(key, after) if left_is_key else _not_after(first, key)
        case CompareOp.LT:
            return _before(key, first) if left_is_key else _not_after(after, key)


def _before(left: Expr, right: Expr) -> Expr:
    return Compare(CompareOp.LT, left, right)


def _not_after(left: Expr, right: Expr) -> Expr:
    return Compare(CompareOp.LE, left, right)
