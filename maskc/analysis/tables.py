"""The tables of a block mask: for each row of blocks the columns that are full or partial.

Tiles are written as runs, a first column and a length for each row of blocks that they cover, so
that large ones are never spelled out before the tables are written. Each list of runs gives two
tables, one by rows of q and one by rows of kv.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from maskc.analysis.found import TileMap
from maskc.analysis.grid import Grid, Tiles

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**22
"""How many entries are written in one pass; it bounds the memory."""

DECODE_ROWS = 8
"""torch's decode kernels read full tables with the strides of partial ones; they serve at most
this many rows of blocks (fewer than 128 queries, blocks of 16 or more)."""


class Tables(NamedTuple):
    """The tables of ``torch.nn.attention.flex_attention.BlockMask``, by its constructor's names.

    Counts are ``[B, H, rows]``, indices ``[B, H, rows, columns]``, both int32. Entries of a row
    past its count mean nothing.
    """

    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor
    full_kv_indices: Tensor
    q_num_blocks: Tensor
    q_indices: Tensor
    full_q_num_blocks: Tensor
    full_q_indices: Tensor


def block_tables(tile_map: TileMap, compact: bool = False) -> Tables:
    """Write the eight tables.

    Args:
        tile_map: the tiles of the mask.
        compact: let rows of indices overlap in memory, each only as far from the next as the
            longest row needs; rows that are runs of columns share one counting row where they can.

    """
    grid = tile_map.grid
    tables: list[Tensor] = []
    for side in (0, 1):
        partial, full = (_runs(grid, tiles, side) for tiles in ([tile_map.partial], tile_map.full))
        for runs in (partial, full):
            tables += _table(grid, runs, side, compact)
    return Tables(*tables)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of columns ``[first, first + length)`` in rows, ordered by row and column.

    A row is numbered through all groups.
    """

    row: Tensor
    first: Tensor
    length: Tensor


def _runs(grid: Grid, tiles: Sequence[Tiles], side: int) -> _Runs:
    """Return the rows of ``side`` that tiles cover as runs of columns of the other side."""
    import torch

    rows, columns = grid.blocks[side], grid.blocks[1 - side]
    keys, lengths = [], []
    for some in tiles:
        row, first = (some.q, some.k) if side == 0 else (some.k, some.q)
        high, wide = some.width[side], some.width[1 - side]
        offsets = torch.arange(high, device=grid.device)
        row = (some.group * rows + row * high)[:, None] + offsets
        keys.append((row * columns + (first * wide)[:, None]).flatten())
        lengths.append(keys[-1].new_full((), wide).expand(len(keys[-1])))
    key = torch.cat(keys) if keys else torch.zeros(0, dtype=torch.int64, device=grid.device)
    length = torch.cat(lengths) if lengths else key
    key, order = key.sort()
    length = length[order]
    return _Runs(key // max(1, columns), key % max(1, columns), length)


def _table(grid: Grid, runs: _Runs, side: int, compact: bool) -> tuple[Tensor, Tensor]:
    """Return the counts and the indices of one table."""
    import torch

    rows, columns = grid.blocks[side], grid.blocks[1 - side]
    count = torch.zeros(grid.groups * rows, dtype=torch.int64, device=grid.device)
    count.index_add_(0, runs.row, runs.length)
    stride = columns
    if compact:
        stride = int(count.max()) if count.numel() else 0
    total = stride * max(0, grid.groups * rows - 1) + columns
    buffer = torch.zeros(total if grid.groups * rows else 0, dtype=torch.int32, device=grid.device)
    _write(buffer, runs, count, stride)
    shape = (grid.batch, grid.heads, rows)
    strides = (grid.heads * rows * stride, rows * stride, stride, 1)
    return count.to(torch.int32).view(shape), buffer.as_strided((*shape, columns), strides)


def _write(buffer: Tensor, runs: _Runs, count: Tensor, stride: int) -> None:
    """Write the columns of the runs, each row from its start on."""
    import torch

    done = runs.length.cumsum(0) - runs.length
    before = count.cumsum(0) - count
    place = done - before[runs.row] + runs.row * stride
    for start in range(0, len(done), CHUNK):
        some = slice(start, start + CHUNK)
        length = runs.length[some]
        run = torch.repeat_interleave(length)
        step = torch.arange(len(run), device=run.device) - (done[some] - done[some][:1])[run]
        buffer[place[some][run] + step] = (runs.first[some][run] + step).to(torch.int32)
