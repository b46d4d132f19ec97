"""A comparison of ints with the key on one side and the query on the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from maskc.analysis.key_ranges.ranges import Array
from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import Arith, Compare, Expr, Index, IntConst, inputs, walk
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.rows import KV_ROW
from maskc.ir.types import Dim, Type, Word


class Relation(Word):
    """How the key's side stands to the query's."""

    AT_LEAST = ">="
    AT_MOST = "<="
    EQUAL = "=="
    UNEQUAL = "!="

    @property
    def opposite(self) -> Relation:
        """The relation with the sides' signs turned."""
        turned = {Relation.AT_LEAST: Relation.AT_MOST, Relation.AT_MOST: Relation.AT_LEAST}
        return turned.get(self, self)


@dataclass(frozen=True, slots=True)
class Bound:
    """``factor * key`` stands in ``relation`` to ``query``; the factor is at least 1.

    The key's form holds no term of q and no constant, the query's none of k.
    """

    relation: Relation
    factor: int
    key: Linear
    query: Linear
    row: Floored | None
    """The key's side where it is the row of the key, floored."""


class Floored(NamedTuple):
    """``(row + shift) // divisor``: values that are in order without a look at them."""

    divisor: int
    shift: int

    def first(self, at_least: Array) -> Array:
        """Return the first row at which it is at least so much, which may lie beyond all rows."""
        if self.divisor > 1:
            at_least = at_least * self.divisor
        return at_least - self.shift if self.shift else at_least


@lru_cache(maxsize=4096)
def bound(expr: Expr, wanted: bool) -> Bound | None:
    """Return the comparison that ``expr is wanted`` comes to, None if its sides do not part."""
    match expr:
        case Compare(op, left, right) if left.type is right.type is Type.INT:
            relation, form = _compared(op, linear(right) - linear(left), wanted)
        case _:
            return None
    if any(Dim.Q | Dim.K in term.deps for term, _ in form.terms):
        return None
    key = Linear(tuple(item for item in form.terms if Dim.K in item[0].deps), 0)
    query = key - form
    match key.terms:
        case ((term, factor),):
            side = Linear(((term, 1),), 0)
            row = floored(side, KV_ROW)
            if factor > 0:
                return Bound(relation, factor, side, query, row)
            return Bound(relation.opposite, -factor, side, -query, row)
        case _:
            return Bound(relation, 1, key, query, None)


def _compared(op: CompareOp, form: Linear, wanted: bool) -> tuple[Relation, Linear]:
    """Return ``form``, the right side less the left, and how it stands to 0."""
    match op, wanted:
        case CompareOp.LE, True:
            return Relation.AT_LEAST, form
        case CompareOp.LE, False:
            return Relation.AT_MOST, form.shifted(1)
        case CompareOp.LT, True:
            return Relation.AT_LEAST, form.shifted(-1)
        case CompareOp.LT, False:
            return Relation.AT_MOST, form
        case _:
            equal = (op is CompareOp.EQ) is wanted
            return (Relation.EQUAL if equal else Relation.UNEQUAL), form


def floored(side: Linear, index: Index) -> Floored | None:
    """Return one side of a comparison as its row, floored; None if it is more than that."""
    match side:
        case Linear(((term, 1),), 0) if term == index:
            return Floored(1, 0)
        case Linear(((Arith(ArithOp.FLOORDIV, row, IntConst(divisor)), 1),), 0) if divisor > 0:
            form = linear(row)
            return Floored(divisor, form.constant) if form.terms == ((index, 1),) else None
        case _:
            return None


@lru_cache(maxsize=1024)
def compares_ids(mask: Expr) -> bool:
    """Tell whether a mask has a comparison like ``doc[q] == doc[k]``."""
    return any(map(is_of_ids, walk(mask)))


@lru_cache(maxsize=4096)
def is_of_ids(expr: Expr) -> bool:
    """Tell whether an expression compares a query's id with a key's, one of them an input."""
    compared = bound(expr, True) if Dim.Q in expr.deps and Dim.K in expr.deps else None
    return compared is not None and compared.relation is Relation.EQUAL and bool(inputs(expr))
