"""Derive for each query row the ranges of its keys: what most masks are, once written out.

A comparison of something of the key with something of the query is a range, or a few. ``and``
intersects them and ``or`` joins them, so the keys of a row are known without looking at a pair, in
a time that grows with the rows. A mask that compares what q and k make together
(``(q - k) % 3 == 0``), or whose rows take more than four ranges, is left to a search by tiles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.bound import Bound, Floored, Relation, bound
from maskc.analysis.key_ranges.lookup import looked_up, runs
from maskc.analysis.key_ranges.ranges import (
    END,
    MOST,
    START,
    Array,
    KeyRanges,
    Range,
    Ranges,
    finished,
    intersected,
    joined,
    number,
    spread,
    without,
)
from maskc.analysis.key_ranges.values import LARGEST, Values
from maskc.ir.domain import Domain
from maskc.ir.nodes import And, BoolConst, Call, Compare, Expr, IntConst, Not, Or, Where
from maskc.ir.operators import CompareOp, Fn
from maskc.ir.types import Dim, Ix, Type
from maskc.passes.booleans.unfold import unfold

MOST_ROWS = 2**25
"""Calls of more query rows, those of each batch and head counted, are left alone: it takes memory
for each."""

NOTHING: Ranges = (Range(number(0), number(0)),)
"""No key in any row."""


def key_ranges(mask: Expr, domain: Domain) -> KeyRanges | None:
    """Return the keys of each query row as up to four ranges, None if they are not that.

    Args:
        mask: a boolean row expression.
        domain: its tensors and sizes. Tensors on another device are copied to the host.

    """
    k_len, shape = domain.extent(Ix.KV_IDX), _shape((mask,), domain)
    if shape is None or not parts(mask):
        return None
    result = _Derivation(domain, k_len).ranges(mask, wanted=True)
    return None if result is None else finished(result, shape, k_len)


class OneRange(NamedTuple):
    """Operands of an ``and``, and the one range of keys a row that they allow together."""

    operands: tuple[Expr, ...]
    keys: KeyRanges


def one_range(operands: tuple[Expr, ...], domain: Domain) -> OneRange | None:
    """Return the operands of an ``and`` whose keys are one range a row; None if there are none.

    Args:
        operands: boolean row expressions.
        domain: their tensors and sizes, as for ``key_ranges``.

    """
    k_len = domain.extent(Ix.KV_IDX)
    shape = _shape(operands, domain)
    if shape is None:
        return None
    derivation = _Derivation(domain, k_len)
    result = {arg: derivation.ranges_beside(arg, operands, wanted=True) for arg in operands}
    single = {
        arg: ranges or NOTHING
        for arg, ranges in result.items()
        if ranges is not None and len(ranges) <= 1
    }
    if len(single) < len(operands):
        shape = _shape(tuple(single), domain)
    joint = intersected(list(single.values()), k_len)
    if not single or shape is None or joint is None:
        return None
    keys = finished(joint, shape, k_len)
    return None if keys is None else OneRange(tuple(single), keys)


def _shape(masks: tuple[Expr, ...], domain: Domain) -> tuple[int, int, int] | None:
    """Return ``[B | 1, H | 1, Q]`` of all rows of masks, None if there are none or too many."""
    batch, heads, q_len, k_len = domain.extents
    batched = by_head = False
    for mask in masks:
        batched, by_head = batched or Dim.BATCH in mask.deps, by_head or Dim.HEAD in mask.deps
    shape = (batch if batched else 1, heads if by_head else 1, q_len)
    return shape if k_len > 0 and 0 < prod(shape) <= MOST_ROWS else None


@lru_cache(maxsize=1024)
def parts(mask: Expr) -> bool:
    """Tell whether every comparison in a mask parts into the key's side and the query's."""
    match mask:
        case And(args) | Or(args):
            return all(map(parts, args))
        case Not(arg):
            return parts(arg)
        case _ if Dim.Q | Dim.K not in mask.deps:
            return True
        case _ if (other := spelled_out(mask)) is not None:
            return parts(other)
        case _:
            return bound(mask, True) is not None


@lru_cache(maxsize=1024)
def spelled_out(expr: Expr) -> Expr | None:
    """Return an expression of both sides as ``&`` and ``|`` of others, None for a comparison."""
    match expr:
        case Where(cond, then, other):
            return Or((And((cond, then)), And((Not(cond), other))))
        case Compare(CompareOp.EQ, left, right) if left.type is Type.BOOL:
            return Or((And((left, right)), And((Not(left), Not(right)))))
        case Compare(CompareOp.NE, left, right) if left.type is Type.BOOL:
            return Or((And((left, Not(right))), And((Not(left), right))))
        case Call(Fn.BOOL, (arg,)) if arg.type is Type.BOOL:
            return arg
        case Call(Fn.BOOL, (arg,)) if arg.type is Type.INT:
            return Compare(CompareOp.NE, arg, IntConst(0))
        case Compare() if bound(expr, True) is None:
            return unfold(expr)
        case _:
            return None


@dataclass(slots=True)
class _Derivation:
    """The ranges of the sub-terms of one mask; a negation is asked of the atoms."""

    domain: Domain
    k_len: int
    values: Values = field(init=False)
    memo: dict[tuple[Expr, bool], Ranges | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = Values(self.domain)

    def ranges(self, expr: Expr, wanted: bool) -> Ranges | None:
        """Return the keys at which a boolean is ``wanted``, None if they are not a few ranges."""
        key = expr, wanted
        if key not in self.memo:
            self.memo[key] = self._ranges(expr, wanted)
        return self.memo[key]

    def _ranges(self, expr: Expr, wanted: bool) -> Ranges | None:
        match expr:
            case BoolConst(value):
                return self._by_row(np.asarray(value is wanted))
            case Not(arg):
                return self.ranges(arg, not wanted)
            case And(args) | Or(args):
                return self._combined(args, wanted, all_must=isinstance(expr, And) is wanted)
            case _ if Dim.K not in expr.deps:
                return self._by_row(self.values.of(expr) == wanted)
            case _ if Dim.Q not in expr.deps:
                return self._by_key(expr, wanted)
            case _ if (other := spelled_out(expr)) is not None:
                return self.ranges(other, wanted)
            case _:
                compared = bound(expr, wanted)
                return None if compared is None else self._bounded(compared)

    def _combined(self, args: tuple[Expr, ...], wanted: bool, all_must: bool) -> Ranges | None:
        result = []
        for arg in args:
            beside = args if all_must else ()
            ranges = self.ranges_beside(arg, beside, wanted)
            if ranges is None:
                return None
            result.append(ranges)
        return (intersected if all_must else joined)(result, self.k_len)

    def ranges_beside(self, arg: Expr, args: tuple[Expr, ...], wanted: bool) -> Ranges | None:
        """Return the keys at which ``arg`` is ``wanted``, as far as all of ``args`` are."""
        ranges = self.ranges(arg, wanted)
        if ranges is None and args:
            return self._equal_where(self._alive(args, wanted), arg, wanted)
        return ranges

    def _alive(self, args: tuple[Expr, ...], wanted: bool) -> Array:
        """Return which rows have a key as far as those of ``args`` tell that do not read it."""
        alive = np.ones((1, 1, 1), np.bool_)
        for arg in args:
            if Dim.K not in arg.deps:
                alive = alive & (self.values.of(arg) == wanted)
        return alive

    def _equal_where(self, alive: Array, arg: Expr, wanted: bool) -> Ranges | None:
        """Return the keys with the ids of the rows that are alive, none for the others.

        An id that stands for none may lie all over the keys: ``image[q] == image[k]`` is a range
        only where ``image[q] >= 0``.
        """
        compared = bound(arg, wanted) if Dim.Q | Dim.K in arg.deps else None
        if compared is None or compared.relation is not Relation.EQUAL or alive.all():
            return None
        query, key = self.values.total(compared.query), self.values.total(compared.key)
        if query is None or key is None or compared.factor != 1 or key.max() >= LARGEST:
            return None
        return self._found(Relation.EQUAL, key, np.where(alive, query, key.max() + np.int64(1)))

    def _by_row(self, true: Array) -> Ranges:
        """Return all keys for the rows where ``true``, and none for the others."""
        return (Range(number(0), np.where(true, number(self.k_len), number(0))),)

    def _by_key(self, expr: Expr, wanted: bool) -> Ranges | None:
        """Return the same keys for every row."""
        compared = bound(expr, wanted)
        if compared is not None and compared.row is not None:
            return self._bounded(compared)
        true = self.values.of(expr) == wanted
        if true.size != self.k_len:
            return looked_up(Relation.EQUAL, true.astype(np.int8), np.ones((1, 1, 1), np.int8))
        at = runs(true.reshape(-1))
        chosen = np.flatnonzero(at.values)
        if len(chosen) > MOST:
            return None
        return tuple(Range(at.begins[place], at.begins[place + 1]) for place in chosen)

    def _bounded(self, compared: Bound) -> Ranges | None:
        """Return the keys that a comparison allows."""
        row = compared.row
        if row is not None:
            query = self.values.total(compared.query, room=row.divisor + abs(row.shift))
            return None if query is None else self._of_row(compared, row, query)
        query = self.values.total(compared.query, room=int(compared.factor > 1))
        key = self.values.total(compared.key)
        if query is None or key is None:
            return None
        if compared.factor == 1:
            return self._found(compared.relation, key, query)
        return self._scaled(compared.relation, compared.factor, key, query)

    def _of_row(self, compared: Bound, row: Floored, query: Array) -> Ranges:
        """Bound the row of the key itself, floored: a multiple of it against the query's side."""
        match compared.relation:
            case Relation.AT_LEAST:
                return (Range(row.first(_ceiling(query, compared.factor)), END),)
            case Relation.AT_MOST:
                return (Range(START, row.first(_floor(query, compared.factor) + 1)),)
        quotient = _floor(query, compared.factor)
        first = row.first(_ceiling(query, compared.factor))
        equal = Range(first, row.first(quotient + 1))
        return (equal,) if compared.relation is Relation.EQUAL else without(equal, self.k_len)

    def _scaled(self, relation: Relation, factor: int, key: Array, query: Array) -> Ranges | None:
        """Compare a multiple of the key's side by dividing the query's."""
        match relation:
            case Relation.AT_LEAST:
                return self._found(relation, key, _ceiling(query, factor))
            case Relation.AT_MOST:
                return self._found(relation, key, _floor(query, factor))
            case Relation.EQUAL | Relation.UNEQUAL:
                query = query.astype(np.int64, copy=False)
                quotient = _floor(query, factor)
                result = self._found(relation, key, quotient)
                whole = self._by_row(quotient * factor == query)
                if result is None or relation is Relation.EQUAL:
                    return None if result is None else intersected([result, whole], self.k_len)
                return joined([result, self._by_row(quotient * factor != query)], self.k_len)

    def _found(self, relation: Relation, key: Array, query: Array) -> Ranges | None:
        """Look up the keys that stand in a relation to each query row."""
        key, query = (x.reshape((1,) * (3 - x.ndim) + x.shape) for x in (key, query))
        return looked_up(relation, spread(key, (*key.shape[:2], self.k_len)), query)


def _floor(x: Array, divisor: int) -> Array:
    return x if divisor == 1 else x // divisor


def _ceiling(x: Array, divisor: int) -> Array:
    return x if divisor == 1 else -(-x // divisor)
