"""Query rows: one for each batch, head and query that an expression tells apart.

A row is a query's view of all keys. Rows are numbered, so that some can be worked on
at a time, and memory is bounded whatever the expression depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from maskc.ir.nodes import Expr
from maskc.ir.types import Dim, Ix
from maskc.ir.vectorize import At, Domain, vectorize

LEAST_BYTES = 2**18
MOST_BYTES = 2**26
"""Bounds of what is worked on at a time; between them it is as much as the result takes."""

POINT_BYTES = 32
"""What a point takes while it is worked on: a few ints of 64 bits."""

OUTER = ((Dim.BATCH, Ix.BATCH), (Dim.HEAD, Ix.HEAD), (Dim.Q, Ix.Q_IDX))


@dataclass(frozen=True, slots=True)
class QueryRows:
    """The query rows that an expression with the dependences ``deps`` tells apart."""

    domain: Domain
    deps: Dim

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many batches, heads and queries differ: ``[B | 1, H | 1, Q | 1]``."""
        batch, head, q = (self.domain.extent(ix) if dim in self.deps else 1 for dim, ix in OUTER)
        return batch, head, q

    @property
    def keys(self) -> int:
        """The number of points of a row."""
        return self.domain.extent(Ix.KV_IDX)

    def __len__(self) -> int:
        return prod(self.shape)

    def chunks(self, result_bytes: int) -> Iterator[Tensor]:
        """Yield the numbers of all rows in order, some at a time.

        Args:
            result_bytes: the size of what all of it is for; scratch memory grows with it.

        """
        scratch = min(max(result_bytes, LEAST_BYTES), MOST_BYTES)
        numbers = torch.arange(len(self), device=self.domain.device)
        yield from torch.split(numbers, max(1, scratch // (POINT_BYTES * self.keys)))

    def locations(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the batch, head and query of rows; 0 where rows do not differ in it."""
        _, heads, queries = self.shape
        return numbers // (heads * queries), numbers // queries % heads, numbers % queries

    def values(self, expr: Expr, numbers: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return the values of a row expression, ``[rows, K]``.

        Args:
            expr: depends on nothing but ``deps`` and the key.
            numbers: of the rows.
            keys: the key rows in the order to look at them, ``[rows, K]``; as they come if None.

        """
        if keys is None:
            keys = torch.arange(self.keys, device=self.domain.device)[None]
        outer = zip((ix for _, ix in OUTER), self.locations(numbers), strict=True)
        at = At({**{ix: rows[:, None] for ix, rows in outer}, Ix.KV_IDX: keys})
        return vectorize(expr, at, self.domain).expand(len(numbers), self.keys)


def rows_of(tensor: Tensor, *indices: Tensor) -> Tensor:
    """Return ``tensor[indices]``, where a dimension of size 1 serves every index."""
    pairs = zip(indices, tensor.shape, strict=False)
    return tensor[tuple(index.clamp(max=size - 1) for index, size in pairs)]
