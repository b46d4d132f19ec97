"""Separation of a bias: ``slopes[head] * (k - q)`` is a sum of ``f(batch, head, q) * g(batch, k)``.

Such a bias is a product of matrices, so it can ride in extra columns of q and k, and a kernel needs
no bias tensor. A table that k subscripts, ``t[batch, head, q, k // w]``, separates too: by one-hot
columns, one for each entry of that dimension (decomposed relative positions, arXiv:2112.01526).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from maskc.ir.nodes import (
    And,
    Arith,
    Call,
    Expr,
    FloatConst,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    Where,
    walk,
)
from maskc.ir.operators import ArithOp, Fn
from maskc.ir.rows import KV_ROW
from maskc.ir.types import Dim, Type

ZERO = FloatConst(0.0)
ONE = FloatConst(1.0)
MINUS_ONE = FloatConst(-1.0)
MOST_TERMS = 64
"""Terms of a separation; a product of sums that gives more is left whole."""


@dataclass(frozen=True, slots=True)
class Product:
    """``query * key``: the first does not depend on k, the second not on q."""

    query: Expr
    key: Expr


@dataclass(frozen=True, slots=True)
class Lookup:
    """``query * key * table``, whose subscript number ``place`` alone depends on k, and not on q.

    It stands for one product for each entry j of that dimension: ``table[..., j, ...]`` times
    whether the subscript is j.
    """

    query: Expr
    key: Expr
    table: Load
    place: int
    entries: Load
    """The table subscripted by the row of k at that place: entry j at row j."""

    @property
    def subscript(self) -> Expr:
        """The subscript that depends on k."""
        return self.table.indices[self.place]


Term = Product | Lookup


def separate(expr: Expr) -> tuple[Term, ...] | None:
    """Return terms whose sum is ``expr``, None where no separation is seen.

    Head factors go with q as far as they can: one key head may serve several query heads.
    Equal in exact arithmetic where every factor is finite; a ``where`` takes its arms as finite.
    """
    terms = _separate(expr)
    return None if terms is None else _merged(terms)


def needs_key_heads(term: Term) -> bool:
    """Tell whether the side of k differs from head to head."""
    sides = (term.key, term.subscript) if isinstance(term, Lookup) else (term.key,)
    return any(Dim.HEAD in side.deps for side in sides)


@lru_cache(maxsize=4096)
def _separate(expr: Expr) -> tuple[Term, ...] | None:
    if Dim.K not in expr.deps:
        return (Product(expr, ONE),)
    if not expr.deps & (Dim.Q | Dim.HEAD):
        return (Product(ONE, expr),)
    terms = _by_structure(expr)
    if terms is None and Dim.Q not in expr.deps:
        return (Product(ONE, expr),)
    return terms


def _by_structure(expr: Expr) -> tuple[Term, ...] | None:
    match expr:
        case Arith(ArithOp.ADD, left, right):
            return _sum(_separate(left), _separate(right))
        case Arith(ArithOp.SUB, left, right):
            return _sum(_separate(left), _negated(_separate(right)))
        case Arith(ArithOp.MUL, left, right):
            return _product(_separate(left), _separate(right))
        case Arith(ArithOp.DIV, left, right):
            return _quotient(_separate(left), right)
        case Call(Fn.NEG, (arg,)):
            return _negated(_separate(arg))
        case Call(Fn.FLOAT, (arg,)) if arg.type is not Type.BOOL:
            return _separate(arg)
        case Where(cond, then, other) if Dim.Q not in cond.deps or Dim.K not in cond.deps:
            return _choice(cond, _separate(then), _separate(other))
        case Where(And((first, *rest)), then, other):
            return _separate(Where(first, Where(_joined(And, rest), then, other), other))
        case Where(Or((first, *rest)), then, other):
            return _separate(Where(first, then, Where(_joined(Or, rest), then, other)))
        case Load() if Dim.Q in expr.deps:
            return _lookup(expr)
        case _:
            return None


def _sum(left: tuple[Term, ...] | None, right: tuple[Term, ...] | None) -> tuple[Term, ...] | None:
    return None if left is None or right is None else (*left, *right)


def _negated(terms: tuple[Term, ...] | None) -> tuple[Term, ...] | None:
    if terms is None:
        return None
    return tuple(replace(term, query=_times(MINUS_ONE, term.query)) for term in terms)


def _product(
    left: tuple[Term, ...] | None, right: tuple[Term, ...] | None
) -> tuple[Term, ...] | None:
    if left is None or right is None or len(left) * len(right) > MOST_TERMS:
        return None
    terms = [_pair(one, other) for one in left for other in right]
    result = tuple(term for term in terms if term is not None)
    return result if len(result) == len(terms) else None


def _pair(one: Term, other: Term) -> Term | None:
    """Return the product of two terms; that of two tables would have a column for each pair."""
    query, key = _times(one.query, other.query), _times(one.key, other.key)
    match one, other:
        case Product(), Product():
            return Product(query, key)
        case (Lookup() as table, Product()) | (Product(), Lookup() as table):
            return replace(table, query=query, key=key)
        case _:
            return None


def _quotient(terms: tuple[Term, ...] | None, by: Expr) -> tuple[Term, ...] | None:
    if terms is None:
        return None
    if Dim.K not in by.deps:
        return tuple(replace(t, query=Arith(ArithOp.DIV, t.query, by)) for t in terms)
    if not by.deps & (Dim.Q | Dim.HEAD):
        return tuple(replace(t, key=Arith(ArithOp.DIV, t.key, by)) for t in terms)
    return None


def _choice(
    cond: Expr, then: tuple[Term, ...] | None, other: tuple[Term, ...] | None
) -> tuple[Term, ...] | None:
    """Return the terms of both arms, each 0 where the other is chosen."""
    if then is None or other is None:
        return None
    chosen = [_where(cond, term) for term in then if not _is_zero(term)]
    rest = [_where(Not(cond), term) for term in other if not _is_zero(term)]
    return (*chosen, *rest) if len(chosen) + len(rest) <= MOST_TERMS else None


def _joined(kind: type[And | Or], parts: list[Expr]) -> Expr:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _where(cond: Expr, term: Term) -> Term:
    """Return a term where ``cond`` holds, 0 elsewhere."""
    if Dim.K in cond.deps:
        return replace(term, key=Where(cond, term.key, ZERO))
    return replace(term, query=Where(cond, term.query, ZERO))


def _lookup(load: Load) -> tuple[Term, ...] | None:
    places = [place for place, index in enumerate(load.indices) if Dim.K in index.deps]
    if len(places) != 1 or Dim.Q in load.indices[places[0]].deps:
        return None
    if isinstance(load.indices[places[0]], Index):
        return None  # an entry for each key saves nothing
    others = [index for place, index in enumerate(load.indices) if place != places[0]]
    if any(isinstance(term, Size) for term in walk(*others)):
        return None  # with k along the entries, `kv_len` would be their number
    indices = tuple(
        KV_ROW if place == places[0] else index for place, index in enumerate(load.indices)
    )
    return (Lookup(ONE, ONE, load, places[0], Load(load.input, indices)),)


def _merged(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Return the terms with one product for each key, lookups last; zeros are left out."""
    queries: dict[Expr, Expr] = {}
    for term in terms:
        if isinstance(term, Product) and not _is_zero(term):
            known = queries.get(term.key)
            queries[term.key] = (
                term.query if known is None else Arith(ArithOp.ADD, known, term.query)
            )
    products = [Product(query, key) for key, query in queries.items()]
    lookups = [term for term in terms if isinstance(term, Lookup)]
    return (*products, *lookups)


def _is_zero(term: Term) -> bool:
    sides = term.query, term.key
    return any(isinstance(side, IntConst | FloatConst) and side.value == 0 for side in sides)


def _times(left: Expr, right: Expr) -> Expr:
    if left == ONE:
        return right
    return left if right == ONE else Arith(ArithOp.MUL, left, right)
