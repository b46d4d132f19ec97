"""Packed documents as ranges of keys: ``doc[q] == doc[k]`` is ``first[q] <= k < stop[q]``.

It is so where the tokens of each document stand side by side, which is looked up in the ids that
are bound and never assumed. A kernel then compares a key with two numbers of its query, and reads
nothing for the key; FlexAttention's FLASH backend takes masks of that form alone. What else bounds
the key in the same conjunction (``window(512)``) costs nothing more: it goes into the two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

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
    inputs,
    rewrite,
    walk,
    with_children,
)
from maskc.ir.operators import CompareOp
from maskc.ir.rows import BATCH, HEAD, KV_ROW, Q_ROW
from maskc.ir.types import Dim, Sz, Type
from maskc.ir.vectorize import Domain, dense
from maskc.lower.plan import CAUSAL
from maskc.passes.support.constraint import Kind, constraint

if TYPE_CHECKING:
    from torch import Tensor


def with_key_ranges(mask: BoundMask) -> BoundMask:
    """Return a mask whose comparisons of ids are ranges of keys, as far as the ids allow."""
    import torch

    if torch.compiler.is_compiling() or not compares_ids(mask.expr):
        return mask
    ranges = _Ranges(mask.domain)
    expr = ranges.visit(mask.expr)
    domain = replace(mask.domain, tensors={**mask.domain.tensors, **ranges.tensors})
    return replace(mask, expr=expr, domain=domain)


def compares_ids(mask: Expr) -> bool:
    """Tell whether a mask has a comparison that may become a range of keys."""
    return any(map(_sides, walk(mask)))


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
    _memo: dict[Expr, Expr] = field(default_factory=dict)

    def visit(self, expr: Expr) -> Expr:
        """Return an expression with ranges for comparisons of ids."""
        if expr not in self._memo:
            self._memo[expr] = self._visit(expr)
        return self._memo[expr]

    def _visit(self, expr: Expr) -> Expr:
        args = expr.args if isinstance(expr, And) else (expr,)
        runs = {arg: run for arg in args if (run := self._run(arg)) is not None}
        if not runs:
            return with_children(expr, tuple(map(self.visit, children(expr))))
        limits = {arg: limit for arg in args if (limit := _limit(arg)) is not None}
        others = [self.visit(arg) for arg in args if arg not in runs and arg not in limits]
        return And((*self._range(runs, set(limits.values())), *others))

    def _range(self, runs: dict[Expr, Range], limits: set[_Limit]) -> tuple[Expr, Expr]:
        """Return the two comparisons that runs and limits come to."""
        import torch

        name, self.count = f"range{self.count}", self.count + 1
        lower = [dense(to_expr(limit.value), self.domain) for limit in limits if limit.is_lower]
        first = reduce(torch.maximum, [run.first for run in runs.values()] + lower)
        begins = Compare(CompareOp.LE, self._read(f"{name}@first", first), KV_ROW)
        upper = {limit for limit in limits if not limit.is_lower}
        as_many_keys = self.domain.sizes[Sz.Q_LEN] <= self.domain.sizes[Sz.KV_LEN]
        if upper == {_UP_TO_OWN} and as_many_keys and all(map(_holds_own_key, runs)):
            return begins, CAUSAL  # a document that holds its query does not end before it
        ends = [dense(to_expr(limit.value), self.domain) for limit in upper]
        stop = reduce(torch.minimum, [run.stop for run in runs.values()] + ends)
        return begins, Compare(CompareOp.LT, KV_ROW, self._read(f"{name}@stop", stop))

    def _run(self, arg: Expr) -> Range | None:
        """Return the keys that a comparison of ids allows, if they are a run for each query."""
        sides = _sides(arg)
        if sides is None:
            return None
        q_ids, k_ids = (dense(side, self.domain) for side in sides)
        lines = [max(sizes) for sizes in zip(q_ids.shape[:2], k_ids.shape[:2], strict=True)]
        found = id_ranges(
            q_ids.expand(*lines, -1, -1).squeeze(3), k_ids.expand(*lines, -1, -1).squeeze(2)
        )
        return None if found is None else Range(*(x.unsqueeze(3) for x in found))

    def _read(self, name: str, keys: Tensor) -> Load:
        """Record row numbers of keys ``[B | 1, H | 1, Q | 1, 1]`` and return the read of them."""
        import torch

        kept = [place for place in range(3) if keys.shape[place] > 1]
        inside = keys.clamp(0, self.domain.sizes[Sz.KV_LEN]).to(torch.int32)
        self.tensors[name] = inside.squeeze().contiguous()
        indices = (BATCH, HEAD, Q_ROW)
        return Load(Input(name, Type.INT), tuple(indices[place] for place in kept))


@lru_cache(maxsize=1024)
def _sides(arg: Expr) -> tuple[Expr, Expr] | None:
    """Return what is compared of the query and of the key, None for another expression."""
    match arg:
        case Compare(CompareOp.EQ, left, right) if left.type is right.type is Type.INT:
            sides = (left, right) if Dim.Q in left.deps else (right, left)
            both = tuple(side.deps & (Dim.Q | Dim.K) for side in sides)
            return sides if both == (Dim.Q, Dim.K) and inputs(arg) else None
        case _:
            return None


@lru_cache(maxsize=1024)
def _holds_own_key(arg: Expr) -> bool:
    """Tell whether a comparison of ids always holds at the key row of the query's number."""
    there = rewrite(arg, lambda term: Q_ROW if term == KV_ROW else None)
    return isinstance(there, Compare) and there.left == there.right


@lru_cache(maxsize=1024)
def _limit(arg: Expr) -> _Limit | None:
    """Return a comparison as a limit of the key row, None if it is none."""
    found = constraint(arg)
    if found is None or found.kind is not Kind.GE:
        return None
    rest = found.form.without(KV_ROW)
    if any(Dim.K in term.deps for term, _ in rest.terms):
        return None
    match dict(found.form.terms).get(KV_ROW):
        case 1:
            return _Limit(is_lower=True, value=-rest)
        case -1:
            return _Limit(is_lower=False, value=rest.shifted(1))
        case _:
            return None
