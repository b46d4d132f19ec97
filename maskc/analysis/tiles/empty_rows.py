"""Which query rows have no key at all: told by ranges of keys, or searched for.

The rows of a full tile have one. For the others a few keys are tried, since the diagonal and the
ends show nearly all rows to have a key; what is left is looked at in full, in the partial blocks
of its row of blocks only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.tiles.grid import Tiles, starting_rows
from maskc.analysis.tiles.refine import POINTS, each, holds
from maskc.analysis.tiles.runs import spelled_out
from maskc.analysis.tiles.tile_map import TileMap
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain


def empty_rows(mask: Expr, domain: Domain, tile_map: TileMap) -> Tensor:
    """Return ``[B | 1, H | 1, Q]``, true for the query rows that have no key.

    Args:
        mask: the boolean row expression that ``tile_map`` is the map of.
        domain: its tensors and sizes.
        tile_map: its tiles.

    """
    grid = tile_map.grid
    if tile_map.ranges is not None:
        return ~torch.from_numpy(tile_map.ranges.has_keys).to(grid.device)
    cover = Cover(mask, domain)
    empty = _not_covered(tile_map)
    _try_likely_keys(cover, tile_map, empty)
    _look_at_blocks(cover, tile_map, empty)
    return empty.view(grid.batch, grid.heads, -1)[..., : grid.lengths[0]]


def _not_covered(tile_map: TileMap) -> Tensor:
    """Return ``[groups, blocks, rows of a block]``, true for rows without a full tile."""
    grid = tile_map.grid
    left = torch.ones(grid.groups, grid.blocks[0], dtype=torch.bool, device=grid.device)
    left.view(-1)[torch.from_numpy(tile_map.full.row).to(grid.device)] = False
    return left[..., None].repeat(1, 1, grid.block[0])


def _try_likely_keys(cover: Cover, tile_map: TileMap, empty: Tensor) -> None:
    """Try the key of the same position, counted from either end, and the first and last key."""
    grid = tile_map.grid
    (q_len, k_len), high = grid.lengths, grid.block[0]
    group, block, place = empty.nonzero(as_tuple=True)
    row = block * high + place
    ends = torch.zeros_like(row), torch.full_like(row, k_len - 1)
    keys = torch.stack([row, (row + (k_len - q_len)).clamp(min=0), *ends], dim=-1)
    for start in range(0, len(row), POINTS) if k_len else ():
        some = slice(start, start + POINTS)
        true = holds(cover, grid, group[some], row[some, None], keys[some]).any(-1)
        empty[group[some], block[some], place[some]] = ~true


def _look_at_blocks(cover: Cover, tile_map: TileMap, empty: Tensor) -> None:
    """Evaluate the partial blocks of rows of blocks that have a row without a key so far."""
    grid = tile_map.grid
    high, wide = grid.block
    partial = _blocks(tile_map)
    blocks = partial[empty.any(-1)[partial.group, partial.q]]
    for some in blocks.chunks(POINTS // (high * wide)):
        q, k = starting_rows(grid, some)
        true = holds(cover, grid, some.group, each(q, high), each(k, wide))
        block, row = true.view(-1, high, wide).any(-1).nonzero(as_tuple=True)
        empty[some.group[block], some.q[block], row] = False


def _blocks(tile_map: TileMap) -> Tiles:
    """Return the partial blocks one by one."""
    grid = tile_map.grid
    row, column = (torch.from_numpy(x).to(grid.device) for x in spelled_out(tile_map.partial))
    return Tiles(row // grid.blocks[0], row % grid.blocks[0], column)
