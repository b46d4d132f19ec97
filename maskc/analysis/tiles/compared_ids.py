"""Comparisons of ids, ``doc[q] == doc[k]``: where equal ids stand side by side, ranges of keys."""

from __future__ import annotations

from functools import lru_cache

from maskc.ir.nodes import Compare, Expr, inputs, walk
from maskc.ir.operators import CompareOp
from maskc.ir.types import Dim, Type


def compares_ids(mask: Expr) -> bool:
    """Tell whether a mask has a comparison that may become a range of keys."""
    return any(map(compared_ids, walk(mask)))


@lru_cache(maxsize=1024)
def compared_ids(term: Expr) -> tuple[Expr, Expr] | None:
    """Return what is compared of the query and of the key, None for another expression."""
    match term:
        case Compare(CompareOp.EQ, left, right) if left.type is right.type is Type.INT:
            sides = (left, right) if Dim.Q in left.deps else (right, left)
            both = tuple(side.deps & (Dim.Q | Dim.K) for side in sides)
            return sides if both == (Dim.Q, Dim.K) and inputs(term) else None
        case _:
            return None
