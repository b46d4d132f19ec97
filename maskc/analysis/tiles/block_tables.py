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
from maskc.analysis.tiles.runs import Runs, split, stacked, transposed
from maskc.analysis.tiles.strays import without_strays
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
            longest row needs; rows that share a sequence of columns are stored as that one. In a
            large table a few full tiles that keep others from sharing are called partial.
        backward: whether to write those by key.

    """
    grid = tile_map.grid
    if compact:
        tile_map = without_strays(tile_map)
    runs = stacked(tile_map.partial, tile_map.full, grid.groups * grid.blocks[0])
    tables = _tables(grid, runs, grid.blocks, compact)
    if backward:
        tables += _tables(grid, transposed(runs, grid.blocks), grid.blocks[::-1], compact)
    return Tables(*tables)


def _tables(grid: Grid, runs: Runs, blocks: Pair, compact: bool) -> list[Tensor]:
    """Return counts and indices of the partial and of the full tiles, written in one go.

    Args:
        grid: of the tiles.
        runs: those of the partial tiles, and below them those of the full ones.
        blocks: how many rows and columns a table has.
        compact: as for ``block_tables``.

    """
    shape, rows = (grid.batch, grid.heads, *blocks), grid.groups * blocks[0]
    count = counts(runs, 2 * rows)
    if compact:
        listed = [
            compact_indices(part, own, shape, grid.device)
            for part, own in zip(split(runs, rows), (count[:rows], count[rows:]), strict=True)
        ]
    else:
        wide = indices(runs, count, blocks[1], blocks[1]).reshape(2, *shape)
        listed = [torch.from_numpy(part).to(grid.device) for part in wide]
    number = [torch.from_numpy(part).to(grid.device) for part in count.reshape(2, *shape[:3])]
    return [number[0], listed[0], number[1], listed[1]]
