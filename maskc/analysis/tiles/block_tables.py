"""The tables of a block mask: for each row of blocks the columns that are full or partial.

Tables are written from runs: a column counts on from the one before it, but for the first of a run.
Compact ones keep only what is read, and share it between rows where that is possible.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from maskc.analysis.tiles.compact import compact_indices
from maskc.analysis.tiles.grid import Grid, Pair
from maskc.analysis.tiles.indices import counts, indices
from maskc.analysis.tiles.runs import Runs, transposed
from maskc.analysis.tiles.tile_map import TileMap


class Tables(NamedTuple):
    """The tables of ``torch.nn.attention.flex_attention.BlockMask``, by its constructor's names.

    Counts are ``[B, H, rows]``, indices ``[B, H, rows, columns]``, both int32. Entries of a row
    past its count mean nothing. Only the backward pass reads the ``q`` tables.
    """

    kv_num_blocks: Tensor
    kv_indices: Tensor
    full_kv_num_blocks: Tensor
    full_kv_indices: Tensor
    q_num_blocks: Tensor | None = None
    q_indices: Tensor | None = None
    full_q_num_blocks: Tensor | None = None
    full_q_indices: Tensor | None = None


def block_tables(tile_map: TileMap, compact: bool = False, backward: bool = True) -> Tables:
    """Write the eight tables, or the four by query.

    Args:
        tile_map: the tiles of the mask.
        compact: let rows of indices overlap in memory, each only as far from the next as the
            longest row needs; rows that share a sequence of columns are stored as that one.
        backward: whether to write those by key.

    """
    grid, by_q = tile_map.grid, [tile_map.partial, tile_map.full]
    sides = [(by_q, grid.blocks)]
    if backward:
        sides.append(([transposed(runs, grid.blocks) for runs in by_q], grid.blocks[::-1]))
    tables: list[Tensor] = []
    for lists, blocks in sides:
        for runs in lists:
            tables += _table(grid, runs, blocks, compact)
    return Tables(*tables)


def _table(grid: Grid, runs: Runs, blocks: Pair, compact: bool) -> tuple[Tensor, Tensor]:
    """Return the counts and the indices of one table, of ``blocks`` rows and columns."""
    shape = grid.batch, grid.heads, *blocks
    count = counts(runs, grid.groups * blocks[0])
    number = torch.from_numpy(count.reshape(shape[:3])).to(grid.device)
    if compact:
        return number, compact_indices(runs, count, shape, grid.device)
    listed = indices(runs, count, blocks[1], blocks[1]).reshape(shape)
    return number, torch.from_numpy(listed).to(grid.device)
