"""Comparisons as kernels like them, with nothing to compute for the key.

- ``0 <= q - k`` is ``k <= q``. Normal forms keep a band as one difference between two bounds; the
  end at 0 then costs a comparison of two indices (compiled on CPU, causal & window(512): 1.3 times
  faster). The two are equal for ints, as long as the difference fits in 64 bits.
- ``q - k < 512`` is ``q - 512 < k``: what moves with the query alone is computed once for a row
  (a GPU's step over keys has 7 % fewer instructions on sm_90, 19 % on sm_80).
- ``q // 64 == k // 64`` is ``first <= k & k < first + 64`` with ``first = q // 64 * 64``, and so
  for the other comparisons: processors divide ints one by one (chunks of 100: 1.3 times faster).
- ``(q - k) % 4 == 0`` is ``(q ^ k) & 3 == 0``, whose bits carry nothing (a dilated window: 3 %
  fewer for sm_90, 1 % for sm_80).

Kernels add ints in the width of their tensors, and an input may hold the largest int for "no
limit". So only rows are added to.
"""

from __future__ import annotations

from maskc.ir.nodes import And, Arith, Call, Compare, Expr, Index, IntConst, Load, Or, rewrite
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.rows import BATCH, K_POSITION, Q_POSITION
from maskc.ir.types import Dim, Type
from maskc.lower.codegen.sizes import binary_places

LARGEST_STEP = 2**20
"""Divisors and distances above this stay: what is added to a row must fit in 32 bits with it."""

ADDED = (ArithOp.ADD, ArithOp.SUB)


def sides(expr: Expr) -> Expr:
    """Return ``expr`` with comparisons of differences and quotients as comparisons of a key."""
    return rewrite(expr, _side)


def _side(term: Expr) -> Expr | None:
    match term:
        case Compare(op, IntConst(0), Arith(ArithOp.SUB, left, right)) if _are_ints(left, right):
            return Compare(op, right, left, span=term.span)
        case Compare(op, Arith(ArithOp.SUB, left, right), IntConst(0)) if _are_ints(left, right):
            return Compare(op, left, right, span=term.span)
        case Compare(op, Arith(ArithOp.SUB, left, right), IntConst(n)) if _are_ints(left, right):
            return _of_difference(op, left, right, n)
        case Compare(op, IntConst(n), Arith(ArithOp.SUB, left, right)) if _are_ints(left, right):
            return _of_difference(op, right, left, -n)
        case Compare(
            op,
            Arith(ArithOp.FLOORDIV, left, IntConst(step)),
            Arith(ArithOp.FLOORDIV, right, IntConst(other)),
        ) if step == other and 0 < step <= LARGEST_STEP and _are_ints(left, right):
            return _of_quotients(op, left, right, step)
        case Compare(
            CompareOp.EQ | CompareOp.NE as op,
            Arith(ArithOp.MOD, Arith(ArithOp.SUB, left, right), IntConst() as step),
            IntConst(0),
        ) if binary_places(step) and _are_ints(left, right) and left.deps and right.deps:
            bits = Call(Fn.BITXOR, (left, right))
            return Compare(op, Arith(ArithOp.MOD, bits, step), IntConst(0), span=term.span)
        case _:
            return None


def _are_ints(left: Expr, right: Expr) -> bool:
    return left.type is Type.INT and right.type is Type.INT


def _of_difference(op: CompareOp, left: Expr, right: Expr, distance: int) -> Expr | None:
    """Return ``left op right + distance`` as a comparison of a moved query and a key."""
    left_is_key, right_is_key = (Dim.K in side.deps for side in (left, right))
    if left_is_key == right_is_key:
        return None
    query, move = (right, distance) if left_is_key else (left, -distance)
    if not _can_move(query, move):
        return None
    moved = Arith(ArithOp.ADD if move > 0 else ArithOp.SUB, query, IntConst(abs(move)))
    return Compare(op, left, moved) if left_is_key else Compare(op, moved, right)


def _can_move(query: Expr, move: int) -> bool:
    """Tell whether so much can be added: to a row always, to a position, from 0 up, if negative."""
    if abs(move) > LARGEST_STEP:
        return False
    return _is_row(query) or (move < 0 and _is_position(query))


def _is_row(term: Expr) -> bool:
    """Tell whether a term is a row, moved by constants and by an offset."""
    match term:
        case Index() | IntConst():
            return True
        case Arith(op, left, right) if op in ADDED:
            return _is_row(left) and _is_row(right)
        case Load(_, () | (Index(which=BATCH.which),)):
            return _is_position(term)
        case _:
            return False


def _is_position(term: Expr) -> bool:
    return isinstance(term, Load) and term.input in (Q_POSITION, K_POSITION)


def _of_quotients(op: CompareOp, left: Expr, right: Expr, step: int) -> Expr | None:
    """Return ``left // step op right // step`` as bounds of the side that depends on the key."""
    left_is_key, right_is_key = (Dim.K in side.deps for side in (left, right))
    if left_is_key == right_is_key:
        return None
    key, query = (left, right) if left_is_key else (right, left)
    if not _is_row(query):
        return None
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
