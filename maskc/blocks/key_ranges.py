"""Packed documents as ranges of keys: ``doc[q] == doc[k]`` is ``first[q] <= k < stop[q]``.

It is so where the tokens of each document stand side by side, which is looked up in the ids that
are bound and never assumed. A kernel then compares a key with two numbers of its query, and reads
nothing for the key; FlexAttention's FLASH backend takes masks of that form alone. What else bounds
the key in the same conjunction (``window(512)``) costs nothing more: it goes into the two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.key_ranges.bound import compares_ids, is_of_ids
from maskc.analysis.key_ranges.derive import one_range
from maskc.analysis.key_ranges.ranges import Array, KeyRanges
from maskc.binding.bind import BoundMask
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import And, Compare, Expr, Input, Load, children, with_children
from maskc.ir.operators import CompareOp
from maskc.ir.rows import BATCH, HEAD, KV_ROW, Q_ROW
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain
from maskc.lower.plan import CAUSAL


class RangedMask(NamedTuple):
    """A mask with ranges of keys for ids, and the keys of each row where that is all it says."""

    mask: BoundMask
    keys: KeyRanges | None


def with_key_ranges(mask: BoundMask) -> RangedMask:
    """Return a mask whose comparisons of ids are ranges of keys, as far as the ids allow."""
    if in_trace() or not compares_ids(mask.expr):
        return RangedMask(mask, None)
    ranges = _Ranges(mask.domain)
    expr = ranges.visit(mask.expr)
    sizes, tensors = mask.domain.sizes, {**mask.domain.tensors, **ranges.tensors}
    ranged = BoundMask(expr, Domain(sizes, tensors, mask.domain.device), mask.is_filled)
    return RangedMask(ranged, ranges.whole.get(mask.expr))


@dataclass(slots=True)
class _Ranges:
    """Puts ranges into a mask.

    Attributes:
        domain: of the mask.
        tensors: the ends of the ranges, by the names of their inputs.
        whole: the terms that became a range and nothing else.

    """

    domain: Domain
    tensors: dict[str, Tensor] = field(default_factory=dict)
    whole: dict[Expr, KeyRanges] = field(default_factory=dict)
    memo: dict[Expr, Expr] = field(default_factory=dict)

    def visit(self, expr: Expr) -> Expr:
        """Return an expression with ranges for comparisons of ids."""
        if expr not in self.memo:
            self.memo[expr] = self._visit(expr)
        return self.memo[expr]

    def _visit(self, expr: Expr) -> Expr:
        args = expr.args if isinstance(expr, And) else (expr,)
        result = one_range(args, self.domain) if any(map(is_of_ids, args)) else None
        if result is None or not any(map(is_of_ids, result.operands)):
            return with_children(expr, tuple(map(self.visit, children(expr))))
        others = [self.visit(arg) for arg in args if arg not in result.operands]
        if not others:
            self.whole[expr] = result.keys
        return _conjunction((*self._compared(result.keys), *others))

    def _compared(self, keys: KeyRanges) -> tuple[Expr, Expr]:
        """Return one range of keys a row as two comparisons."""
        name, first, stop = f"range{len(self.tensors)}", keys.first[0], keys.stop[0]
        if _ends_with_own_key(keys):
            first = first if stop.all() else np.where(stop == 0, keys.k_len, first)
            return _begins(*self._recorded(f"{name}@first", first)), CAUSAL
        begins = _begins(*self._recorded(f"{name}@first", first))
        return begins, _ends(*self._recorded(f"{name}@stop", stop))

    def _recorded(self, name: str, ends: Array) -> tuple[str, tuple[Expr, ...]]:
        """Record row numbers of keys ``[B | 1, H | 1, Q]``; return their name and subscripts."""
        indices = (BATCH, HEAD, Q_ROW)
        inside = ends.squeeze().astype(np.int32, order="C", copy=False)
        self.tensors[name] = torch.from_numpy(inside).to(self.domain.device)
        return name, tuple(indices[dim] for dim in range(3) if ends.shape[dim] > 1)


@lru_cache(maxsize=1024)
def _begins(name: str, indices: tuple[Expr, ...]) -> Expr:
    return Compare(CompareOp.LE, Load(Input(name, Type.INT), indices), KV_ROW)


@lru_cache(maxsize=1024)
def _ends(name: str, indices: tuple[Expr, ...]) -> Expr:
    return Compare(CompareOp.LT, KV_ROW, Load(Input(name, Type.INT), indices))


@lru_cache(maxsize=1024)
def _conjunction(args: tuple[Expr, ...]) -> Expr:
    """Return an ``and``, the same object each time: what is kept for it is then found at once."""
    return And(args)


def _ends_with_own_key(keys: KeyRanges) -> bool:
    """Tell whether each row that has a key ends with that of its own number, or the last one."""
    stop = keys.stop[0]
    own = np.arange(1, stop.shape[-1] + 1, dtype=np.int32)
    if len(own) > keys.k_len:
        own = np.minimum(own, keys.k_len)
    same = stop == own
    return bool(same.all()) or bool((same | (stop == 0)).all())
