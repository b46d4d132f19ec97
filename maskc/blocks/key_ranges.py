"""Packed documents as ranges of keys: ``doc[q] == doc[k]`` is ``first[q] <= k < stop[q]``.

It is so where the tokens of each document stand side by side, which is looked up in the ids that
are bound and never assumed. A kernel then compares a key with two numbers of its query, and reads
nothing for the key; FlexAttention's FLASH backend takes masks of that form alone. What else bounds
the key in the same conjunction (``window(512)``) costs nothing more: it goes into the two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce

import torch
from torch import Tensor

from maskc.analysis.tiles.compared_ids import compared_ids, compares_ids
from maskc.binding.bind import BoundMask
from maskc.blocks.id_ranges import Range, id_ranges
from maskc.ir.linear import Linear, to_expr
from maskc.ir.nodes import (
    And,
    Compare,
    Expr,
    Input,
    Load,
    children,
    rewrite,
    with_children,
)
from maskc.ir.operators import CompareOp
from maskc.ir.rows import BATCH, HEAD, KV_ROW, Q_ROW
from maskc.ir.types import Dim, Sz, Type
from maskc.ir.vectorize import Domain, dense
from maskc.lower.plan import CAUSAL
from maskc.passes.support.constraint import Kind, constraint


def with_key_ranges(mask: BoundMask) -> BoundMask:
    """Return a mask whose comparisons of ids are ranges of keys, as far as the ids allow."""
    if torch.compiler.is_compiling() or not compares_ids(mask.expr):
        return mask
    ranges = _Ranges(mask.domain)
    expr = ranges.visit(mask.expr)
    domain = replace(mask.domain, tensors={**mask.domain.tensors, **ranges.tensors})
    return replace(mask, expr=expr, domain=domain)


@dataclass(frozen=True, slots=True)
class _Limit:
    """A bound of the key that does not depend on it: ``value <= k``, or ``k < value``."""

    is_lower: bool
    value: Linear


_UP_TO_OWN = _Limit(is_lower=False, value=Linear(((Q_ROW, 1),), 1))
"""Causal, as a limit."""


@dataclass(slots=True)
class _Ranges:
    domain: Domain
    tensors: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0
    memo: dict[Expr, Expr] = field(default_factory=dict)

    def visit(self, expr: Expr) -> Expr:
        """Return an expression with ranges for comparisons of ids."""
        if expr not in self.memo:
            self.memo[expr] = self._visit(expr)
        return self.memo[expr]

    def _visit(self, expr: Expr) -> Expr:
        args = expr.args if isinstance(expr, And) else (expr,)
        ranges = {arg: keys for arg in args if (keys := self._keys(arg)) is not None}
        if not ranges:
            return with_children(expr, tuple(map(self.visit, children(expr))))
        limits = {arg: limit for arg in args if (limit := _limit(arg)) is not None}
        others = [self.visit(arg) for arg in args if arg not in ranges and arg not in limits]
        return And((*self._join(ranges, set(limits.values())), *others))

    def _join(self, ranges: dict[Expr, Range], limits: set[_Limit]) -> tuple[Expr, Expr]:
        """Return ranges and limits of keys as two comparisons."""
        name, self.count = f"range{self.count}", self.count + 1
        lower = [dense(to_expr(limit.value), self.domain) for limit in limits if limit.is_lower]
        first = reduce(torch.maximum, [keys.first for keys in ranges.values()] + lower)
        begins = Compare(CompareOp.LE, self._read(f"{name}@first", first), KV_ROW)
        upper = {limit for limit in limits if not limit.is_lower}
        as_many_keys = self.domain.sizes[Sz.Q_LEN] <= self.domain.sizes[Sz.KV_LEN]
        if upper == {_UP_TO_OWN} and as_many_keys and all(map(_holds_own_key, ranges)):
            return begins, CAUSAL  # a document that holds its query does not end before it
        ends = [dense(to_expr(limit.value), self.domain) for limit in upper]
        stop = reduce(torch.minimum, [keys.stop for keys in ranges.values()] + ends)
        return begins, Compare(CompareOp.LT, KV_ROW, self._read(f"{name}@stop", stop))

    def _keys(self, arg: Expr) -> Range | None:
        """Return the keys that a comparison of ids allows, if they are one range a query."""
        sides = compared_ids(arg)
        if sides is None:
            return None
        q_ids, k_ids = (dense(side, self.domain) for side in sides)
        outer = [max(sizes) for sizes in zip(q_ids.shape[:2], k_ids.shape[:2], strict=True)]
        keys = id_ranges(
            q_ids.expand(*outer, -1, -1).squeeze(3), k_ids.expand(*outer, -1, -1).squeeze(2)
        )
        return None if keys is None else Range(*(x.unsqueeze(3) for x in keys))

    def _read(self, name: str, keys: Tensor) -> Load:
        """Record row numbers of keys ``[B | 1, H | 1, Q | 1, 1]`` and return the read of them."""
        dims = [dim for dim in range(3) if keys.shape[dim] > 1]
        inside = keys.clamp(0, self.domain.sizes[Sz.KV_LEN]).to(torch.int32)
        self.tensors[name] = inside.squeeze().contiguous()
        indices = (BATCH, HEAD, Q_ROW)
        return Load(Input(name, Type.INT), tuple(indices[dim] for dim in dims))


@lru_cache(maxsize=1024)
def _holds_own_key(arg: Expr) -> bool:
    """Tell whether a comparison of ids always holds at the key row of the query's number."""
    there = rewrite(arg, lambda term: Q_ROW if term == KV_ROW else None)
    return isinstance(there, Compare) and there.left == there.right


@lru_cache(maxsize=1024)
def _limit(arg: Expr) -> _Limit | None:
    """Return a comparison as a limit of the key row, None if it is none."""
    limit = constraint(arg)
    if limit is None or limit.kind is not Kind.GE:
        return None
    rest = limit.form.without(KV_ROW)
    if any(Dim.K in term.deps for term, _ in rest.terms):
        return None
    match dict(limit.form.terms).get(KV_ROW):
        case 1:
            return _Limit(is_lower=True, value=-rest)
        case -1:
            return _Limit(is_lower=False, value=rest.shifted(1))
        case _:
            return None
