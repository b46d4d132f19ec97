"""``topk`` to an ordinary mask: what it selects is worked out when tensors are bound.

There are two forms. Where every query picks anew, or all pick alike, a boolean says for each key
whether it is selected. Where the values are those of keys alone but the allowed keys differ from
query to query (``topk(bias[k], n, where = causal)``), that boolean would be as large as the
attention matrix; then each key gets its rank by value, each query the rank of its last selected
key, and a key is selected if it is allowed and its rank is no larger.

Both are exact where values tie, and nothing here is differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from maskc.ir.nodes import And, Compare, Expr, Input, Load, TopK, rewrite, walk
from maskc.ir.operators import CompareOp
from maskc.ir.rows import BATCH, HEAD, KV_ROW, Q_ROW
from maskc.ir.types import Dim, Type
from maskc.ir.vectorize import Domain
from maskc.topk.ranking import picked, ranked, thresholds


@dataclass(slots=True)
class Resolution:
    """Replaces selections by reads of tensors that it computes."""

    domain: Domain
    owner: str
    """Whose selections they are, to keep the names of two expressions apart."""
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def resolve(self, expr: Expr) -> Expr:
        """Return a row expression without ``topk``."""
        if not _selects(expr):
            return expr
        with torch.no_grad():
            return rewrite(
                expr, lambda term: self._select(term) if isinstance(term, TopK) else None
            )

    def _select(self, term: TopK) -> Expr:
        tensors = {**self.domain.tensors, **self.tensors}
        domain = Domain(self.domain.sizes, tensors, self.domain.device)
        name = f"{self.owner}_topk{len(self.tensors)}"
        if Dim.Q in term.value.deps or Dim.Q not in term.where.deps:
            return self._read(f"{name}@keep", picked(term, domain), Type.BOOL)
        order, rank = ranked(term, domain)
        last = thresholds(term, order, rank, domain)
        own = self._read(f"{name}@rank", rank, Type.INT)
        limit = self._read(f"{name}@last", last, Type.INT)
        return And((term.where, Compare(CompareOp.LE, own, limit)))

    def _read(self, name: str, tensor: Tensor, kind: Type) -> Load:
        """Record a tensor ``[B | 1, H | 1, Q | 1, K | 1]`` and return the read of it."""
        dims = [dim for dim in range(4) if tensor.shape[dim] > 1]
        self.tensors[name] = tensor.squeeze()
        indices = (BATCH, HEAD, Q_ROW, KV_ROW)
        return Load(Input(name, kind), tuple(indices[dim] for dim in dims))


@lru_cache(maxsize=4096)
def _selects(expr: Expr) -> bool:
    return any(isinstance(term, TopK) for term in walk(expr))
