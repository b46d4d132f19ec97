"""``topk`` to an ordinary mask: a rank for each key, and a threshold for each query.

The rank of a key is its place among all keys by value, the lower index first in a tie; a key is
selected if it is allowed and its rank is at most that of the n-th best allowed key. Ranks are
exact where values tie, need no gradient, and take one int32 for each key and one for each query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from maskc.ir.nodes import TRUE, And, Compare, Expr, Input, IntConst, Load, TopK, rewrite, walk
from maskc.ir.rows import BATCH, HEAD, KV_ROW, Q_ROW
from maskc.ir.types import CompareOp, Dim, Ix, Type
from maskc.ir.vectorize import At, Domain, everywhere, vectorize

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**24
"""Elements of ranks that are looked at together while the thresholds are found."""


@dataclass(slots=True)
class Selections:
    """Replaces selections by reads of tensors that it computes."""

    domain: Domain
    owner: str
    """Whose selections they are, to keep the names of two expressions apart."""
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def resolve(self, expr: Expr) -> Expr:
        """Return a row expression without ``topk``."""
        if not _selects(expr):
            return expr
        return rewrite(expr, lambda term: self._select(term) if isinstance(term, TopK) else None)

    def _select(self, term: TopK) -> Expr:
        domain = Domain(
            self.domain.sizes, {**self.domain.tensors, **self.tensors}, self.domain.device
        )
        ranks = rank(vectorize(term.value, everywhere(domain), domain).detach(), domain)
        name = f"{self.owner}_topk{len(self.tensors)}"
        place = self._read(f"{name}@rank", ranks)
        if term.where == TRUE:
            return Compare(CompareOp.LT, place, IntConst(term.count))
        last = thresholds(ranks, term, domain)
        chosen = Compare(CompareOp.LE, place, self._read(f"{name}@last", last))
        return And((term.where, chosen))

    def _read(self, name: str, tensor: Tensor) -> Load:
        """Record a tensor ``[B | 1, H | 1, Q | 1, K | 1]`` and return the read of it."""
        kept = [place for place in range(4) if tensor.shape[place] > 1]
        self.tensors[name] = tensor.squeeze()
        indices = (BATCH, HEAD, Q_ROW, KV_ROW)
        return Load(Input(name, Type.INT), tuple(indices[place] for place in kept))


def rank(values: Tensor, domain: Domain) -> Tensor:
    """Return the place of each key by value, from 0: int32, of the shape of ``values``."""
    import torch

    values = values.expand(*values.shape[:3], domain.extent(Ix.KV_IDX))
    order = values.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(order.shape[-1], dtype=torch.int32, device=domain.device)
    return torch.empty_like(order, dtype=torch.int32).scatter_(-1, order, places.expand_as(order))


def thresholds(ranks: Tensor, term: TopK, domain: Domain) -> Tensor:
    """Return for each query the rank of its last selected key.

    The result is int32 ``[B | 1, H | 1, Q | 1, 1]``; where fewer keys are allowed than are to be
    selected it is the largest int32, so that all of them are.
    """
    import torch

    at = everywhere(domain)
    if Dim.Q not in term.deps:
        return _last(ranks, term, domain, at)
    rows = at.indices[Ix.Q_IDX]
    width = domain.extent(Ix.BATCH) * domain.extent(Ix.HEAD) * domain.extent(Ix.KV_IDX)
    chunks = torch.split(rows, max(1, CHUNK // width), dim=2)
    parts = [_last(ranks, term, domain, At({**at.indices, Ix.Q_IDX: part})) for part in chunks]
    return torch.cat(parts, dim=2)


def _last(ranks: Tensor, term: TopK, domain: Domain, at: At) -> Tensor:
    import torch

    allowed = vectorize(term.where, at, domain)
    rows = ranks if ranks.shape[2] == 1 else ranks[:, :, at.indices[Ix.Q_IDX].flatten()]
    ordered = torch.where(allowed, rows, torch.iinfo(torch.int32).max)
    count = min(term.count, ordered.shape[-1])
    return ordered.kthvalue(count, dim=-1, keepdim=True).values


@lru_cache(maxsize=4096)
def _selects(expr: Expr) -> bool:
    return any(isinstance(term, TopK) for term in walk(expr))
