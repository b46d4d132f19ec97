"""The tables of a block mask: for each row of blocks the columns that are full or partial.

Tables of full width are written from a boolean per block, as they have room for every block
anyway. Compact ones are written from runs, a first column and a length in one row of blocks, so
that large tiles are never spelled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from maskc.analysis.tiles.grid import Grid, Tiles
from maskc.analysis.tiles.tile_map import TileMap

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 2**16
"""How many runs are written in one pass; it bounds the memory."""

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
    grid, kinds = tile_map.grid, ([tile_map.partial], tile_map.full)
    tables: list[Tensor] = []
    if compact:
        for side in (0, 1):
            for tiles in kinds:
                tables += _compact(grid, _runs(grid, tiles, side), side)
    else:
        by_q = [_painted(grid, tiles) for tiles in kinds]
        for painted in (*by_q, *(table.mT for table in by_q)):
            tables += _wide(grid, painted)
    return Tables(*tables)


def _painted(grid: Grid, tiles: Sequence[Tiles]) -> Tensor:
    """Return a boolean for each block ``[groups, rows, columns]``, true within ``tiles``."""
    import torch

    painted = torch.zeros(grid.groups, *grid.blocks, dtype=torch.bool, device=grid.device)
    for some in tiles:
        high, wide = some.width
        rows, columns = (-(-n // w) for n, w in zip(grid.blocks, some.width, strict=True))
        coarse = painted.new_zeros(grid.groups, rows, columns)
        coarse[some.group, some.q, some.k] = True
        fine = coarse[:, :, None, :, None].expand(-1, -1, high, -1, wide)
        fine = fine.reshape(grid.groups, rows * high, columns * wide)
        painted |= fine[:, : grid.blocks[0], : grid.blocks[1]]
    return painted


def _wide(grid: Grid, painted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the counts and the indices of a table of full width."""
    import torch

    count = painted.sum(-1, dtype=torch.int32)
    column = torch.arange(painted.shape[-1], dtype=torch.int32, device=grid.device)
    indices = torch.zeros(painted.shape, dtype=torch.int32, device=grid.device)
    indices.masked_scatter_(column < count[..., None], column.expand_as(painted)[painted])
    shape = (grid.batch, grid.heads)
    return count.view(*shape, -1), indices.view(*shape, *painted.shape[1:])


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
    return _merged(_Runs(key // max(1, columns), key % max(1, columns), length[order]))


def _merged(runs: _Runs) -> _Runs:
    """Join each run with the one before it in its row if they touch."""
    import torch

    if not len(runs.row):
        return runs
    touches = (runs.row[1:] == runs.row[:-1]) & (
        runs.first[1:] == runs.first[:-1] + runs.length[:-1]
    )
    begins = torch.cat([touches.new_ones(1), ~touches])
    which = begins.cumsum(0) - 1
    length = torch.zeros(int(which[-1]) + 1, dtype=torch.int64, device=which.device)
    length.index_add_(0, which, runs.length)
    return _Runs(runs.row[begins], runs.first[begins], length)


def _compact(grid: Grid, runs: _Runs, side: int) -> tuple[Tensor, Tensor]:
    """Return the counts and the indices of a table whose rows overlap in memory."""
    import torch

    rows, columns = grid.blocks[side], grid.blocks[1 - side]
    count = torch.zeros(grid.groups * rows, dtype=torch.int64, device=grid.device)
    count.index_add_(0, runs.row, runs.length)
    shape = (grid.batch, grid.heads, rows)
    buffer, start, stride = _shared(grid, runs, side) or _narrow(count, runs, columns)
    strides = (grid.heads * rows * stride, rows * stride, stride, 1)
    indices = buffer.as_strided((*shape, columns), strides, start)
    return count.to(torch.int32).view(shape), indices


def _shared(grid: Grid, runs: _Runs, side: int) -> tuple[Tensor, int, int] | None:
    """Return a counting row, where the first row starts in it and by how much each next moves on.

    Rows can share it that hold one run each, with first columns that grow by the same step.
    """
    import torch

    rows, columns = grid.blocks[side], grid.blocks[1 - side]
    if grid.groups > 1 or rows <= DECODE_ROWS or not len(runs.row):
        return None
    ends = runs.row[[0, -1]].tolist(), runs.first[[0, -1]].tolist()
    (row, last_row), (first, last_first) = ends
    step = (last_first - first) // max(1, last_row - row)
    start = first - step * row
    if step < 0 or start < 0 or not bool((runs.first == start + step * runs.row).all()):
        return None
    size = start + step * (rows - 1) + columns
    counting = torch.arange(size, dtype=torch.int32, device=grid.device)
    return counting.clamp_(max=columns - 1), start, step


def _narrow(count: Tensor, runs: _Runs, columns: int) -> tuple[Tensor, int, int]:
    """Return rows written one after the other, and how far they lie apart.

    A row of one run is counted on to its end, as what lies past its count means nothing.
    """
    import torch

    rows = len(count)
    stride = int(count.max()) if rows else 0
    size = stride * (rows - 1) + columns if rows else 0
    buffer = torch.zeros(size, dtype=torch.int32, device=count.device)
    first = torch.zeros(rows, dtype=torch.int32, device=count.device)
    first[runs.row] = runs.first.to(torch.int32)
    counting = torch.arange(stride, dtype=torch.int32, device=count.device)
    body = buffer[: rows * stride].view(rows, stride)
    torch.add(first[:, None], counting, out=body).clamp_(max=columns - 1)
    alone = torch.bincount(runs.row, minlength=rows)[runs.row] == 1
    _write(buffer, runs, ~alone, count, stride)
    return buffer, 0, stride


def _write(buffer: Tensor, runs: _Runs, which: Tensor, count: Tensor, stride: int) -> None:
    """Write the columns of some of the runs, each row from its start on."""
    import torch

    done = runs.length.cumsum(0) - runs.length
    place = (done - (count.cumsum(0) - count)[runs.row] + runs.row * stride)[which]
    first, length = runs.first[which], runs.length[which]
    done = length.cumsum(0) - length
    for start in range(0, len(first), CHUNK):
        some = slice(start, start + CHUNK)
        run = torch.repeat_interleave(length[some])
        step = torch.arange(len(run), device=run.device) - (done[some] - done[start])[run]
        buffer[place[some][run] + step] = (first[some][run] + step).to(torch.int32)
