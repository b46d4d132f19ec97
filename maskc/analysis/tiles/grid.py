"""The tiles of a mask: how many there are, where they lie, and lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskc.analysis.intervals.domain import Bounds, Truth
from maskc.analysis.intervals.evaluate import Box
from maskc.ir.nodes import Expr
from maskc.ir.types import Dim, Ix
from maskc.ir.vectorize import Domain

Pair = tuple[int, int]
"""One number for queries, one for keys."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The attention matrix cut into blocks, the smallest tiles.

    ``batch`` and ``heads`` are 1 where the mask does not depend on them; each of their
    combinations is a group, with a matrix of its own. ``lengths`` count rows, ``block`` the rows
    of a block.
    """

    batch: int
    heads: int
    lengths: Pair
    block: Pair
    device: torch.device

    @property
    def groups(self) -> int:
        """How many matrices there are."""
        return self.batch * self.heads

    @property
    def blocks(self) -> Pair:
        """How many blocks lie below, and how many beside each other."""
        return -(-self.lengths[0] // self.block[0]), -(-self.lengths[1] // self.block[1])

    @property
    def count(self) -> int:
        """How many blocks there are."""
        rows, columns = self.blocks
        return self.groups * rows * columns


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of ``width`` blocks: their group, and their row and column in units of tiles.

    The three have shapes that broadcast: ``[T]`` each for a flat list; ``[T, 1, 1]``,
    ``[T, Q, 1]`` and ``[T, 1, K]`` for the smaller tiles of a list of ``T``.
    """

    group: Tensor
    q: Tensor
    k: Tensor
    width: Pair = (1, 1)

    def __len__(self) -> int:
        return int(self.group.shape[0])

    def __getitem__(self, which: slice | Tensor) -> Tiles:
        """Return a piece of a flat list."""
        return Tiles(self.group[which], self.q[which], self.k[which], self.width)

    def chunks(self, size: int) -> Iterator[Tiles]:
        """Yield a flat list in pieces of at most ``size`` tiles, or of one."""
        size = max(1, size)
        for start in range(0, len(self), size):
            yield self[start : start + size] if len(self) > size else self

    def cut(self, width: Pair) -> Tiles:
        """Return the tiles of a smaller width that those of a flat list are made of."""
        sides = []
        for place, old, new in zip((self.q, self.k), self.width, width, strict=True):
            count = -(-old // new)
            sides.append(place[:, None] * count + torch.arange(count, device=place.device))
        q, k = sides
        return Tiles(self.group[:, None, None], q[:, :, None], k[:, None, :], width)

    def where(self, mask: Tensor) -> Tiles:
        """Return the tiles of a cut list for which ``mask``, of the full shape, holds."""
        group, q, k = mask.nonzero(as_tuple=True)
        return Tiles(self.group[group, 0, 0], self.q[group, q, 0], self.k[group, 0, k], self.width)


def grid_of(expr: Expr, domain: Domain, block: Pair) -> Grid:
    """Return the grid of a mask, with a batch and heads only where it depends on them."""
    batch, heads, q_len, k_len = domain.extents
    return Grid(
        batch=batch if Dim.BATCH in expr.deps else 1,
        heads=heads if Dim.HEAD in expr.deps else 1,
        lengths=(q_len, k_len),
        block=block,
        device=domain.device,
    )


def matrices(grid: Grid) -> Tiles:
    """Return the whole matrix of each group as one tile."""
    group = torch.arange(grid.groups, device=grid.device)
    zero = torch.zeros_like(group)
    whole = Tiles(group, zero, zero, grid.blocks)
    return whole if grid.count else whole[:0]


def joined(lists: Sequence[Tiles], grid: Grid) -> Tiles:
    """Return lists of single blocks as one."""
    if len(lists) == 1:
        return lists[0]
    nothing = torch.zeros(0, dtype=torch.int64, device=grid.device)
    return Tiles(
        torch.cat([nothing, *(tiles.group for tiles in lists)]),
        torch.cat([nothing, *(tiles.q for tiles in lists)]),
        torch.cat([nothing, *(tiles.k for tiles in lists)]),
    )


def box(grid: Grid, tiles: Tiles) -> Box:
    """Return the rows of the tiles; those of a tile that sticks out end with the matrix."""
    starts = starting_rows(grid, tiles)
    q, k = (
        rows(start, width * block, length)
        for start, width, block, length in zip(
            starts, tiles.width, grid.block, grid.lengths, strict=True
        )
    )
    return boxed(grid, tiles.group, q, k)


def boxed(grid: Grid, group: Tensor, q: Bounds, k: Bounds) -> Box:
    """Return the box of the rows ``q`` and ``k`` of ``group``."""
    batch, head = group_indices(grid, group)
    return {
        Ix.BATCH: Bounds(batch, batch, grid.batch - 1),
        Ix.HEAD: Bounds(head, head, grid.heads - 1),
        Ix.Q_IDX: q,
        Ix.KV_IDX: k,
    }


def rows(start: Tensor, size: int, length: int) -> Bounds:
    """Return the interval of ``size`` rows from ``start``, kept within ``length`` rows."""
    first = start.clamp(max=length - 1)
    last = first if size == 1 else (start + (size - 1)).clamp(max=length - 1)
    return Bounds(first, last, length - 1)


def starting_rows(grid: Grid, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Return the first row of q and of kv of each tile."""
    return (
        tiles.q * (tiles.width[0] * grid.block[0]),
        tiles.k * (tiles.width[1] * grid.block[1]),
    )


def sticking_out(grid: Grid, tiles: Tiles) -> tuple[Tensor | None, Tensor | None]:
    """Tell which tiles lie beyond the matrix, and which have rows beyond it; None if none has."""
    if all(
        length % (width * block) == 0 and place.shape[1] * place.shape[2] * width == count
        for place, width, block, length, count in zip(
            (tiles.q, tiles.k), tiles.width, grid.block, grid.lengths, grid.blocks, strict=True
        )
    ):
        return None, None
    q, k = starting_rows(grid, tiles)
    (q_len, k_len), (high, wide) = grid.lengths, grid.block
    beyond = (q >= q_len) | (k >= k_len)
    ends = (q > q_len - tiles.width[0] * high) | (k > k_len - tiles.width[1] * wide)
    return beyond, ends


def group_indices(grid: Grid, group: Tensor) -> tuple[Tensor, Tensor]:
    """Return the batch and the head of a group."""
    if grid.heads == 1:
        return group, group * 0
    return group // grid.heads, group % grid.heads


def spread(truth: Truth, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the two parts of a truth in the full shape of its tiles."""
    always, never = (
        torch.as_tensor(part, device=device).expand(shape) for part in (truth.always, truth.never)
    )
    return always, never
