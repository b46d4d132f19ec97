"""Comparisons of ints in one form each: ``q + 1 > k`` becomes ``k <= q``.

Each is a linear form compared with 0, divided by its common factor, decided where the known
ranges decide it, and written in the way that reads best: what depends on k on one side, upper
bounds exclusive, a distance as ``q - k``. Then ``constrain`` can join them.
"""

from __future__ import annotations

import math

from maskc.ir.nodes import BoolConst, Compare, Expr, FloatConst, IntConst
from maskc.ir.operators import CompareOp
from maskc.ir.places import cached_by_place
from maskc.ir.types import Type
from maskc.limits import MAX_INT
from maskc.passes.support.constraint import constraint, shown

_ORDERINGS = (CompareOp.LT, CompareOp.LE)


@cached_by_place(4096)
def normalize_comparisons(expr: Expr) -> Expr | None:
    """Return a comparison of ints in normal form."""
    if not isinstance(expr, Compare):
        return None
    result = constraint(expr)
    return _with_float(expr) if result is None else shown(result)


def _with_float(expr: Compare) -> Expr | None:
    """Compare an int with a float constant as two ints; Python compares them exactly."""
    match expr:
        case Compare(op, left, FloatConst(value)) if left.type is Type.INT:
            limit = _rounded(value, up=op is CompareOp.LT)
            if limit is None:
                return BoolConst(value > 0 if op in _ORDERINGS else op is CompareOp.NE)
            right: Expr = IntConst(limit)
        case Compare(op, FloatConst(value), right) if right.type is Type.INT:
            limit = _rounded(value, up=op is CompareOp.LE)
            if limit is None:
                return BoolConst(value < 0 if op in _ORDERINGS else op is CompareOp.NE)
            left = IntConst(limit)
        case _:
            return None
    if op not in _ORDERINGS and limit != value:
        return BoolConst(op is CompareOp.NE)
    return Compare(op, left, right) if abs(limit) <= MAX_INT else None


def _rounded(value: float, up: bool) -> int | None:
    """Return the int next to ``value``, None for an infinity."""
    if math.isinf(value):
        return None
    return math.ceil(value) if up else math.floor(value)
