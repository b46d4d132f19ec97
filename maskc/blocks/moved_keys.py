"""Tiles of a mask whose keys stand in another order, by whole blocks.

Context parallelism and paged caches move keys by blocks. The keys of a query are then no ranges any
more, but those of the sequence's own order are; so the tiles are found there, and their columns
move with the blocks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from torch import Tensor

from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.runs import Array, Runs, merged, spelled_out
from maskc.analysis.tiles.tile_map import Listed, TileMap, no_ranges
from maskc.binding.bind import BoundMask
from maskc.ir.nodes import Expr, Load, rewrite, walk
from maskc.ir.rows import K_POSITION, KV_ROW
from maskc.ir.types import Sz

POSITION = Load(K_POSITION, (KV_ROW,))


def tiles_by_blocks_of_keys(mask: BoundMask, block: tuple[int, int]) -> TileMap | None:
    """Return the tiles of a mask whose blocks of keys are those of a sequence, moved.

    Args:
        mask: over rows; its positions of keys must be all those from 0, in some order.
        block: rows of queries and of keys of a tile.

    Returns:
        None where the mask reads no table of the keys' positions, or one that moves no whole
        blocks, or where it reads the keys' rows besides.

    """
    table = mask.domain.tensors.get(K_POSITION.name)
    if table is None or not _reads_positions_alone(mask.expr):
        return None
    moved = _moved_blocks(table, mask.domain.sizes[Sz.KV_LEN], block[1])
    if moved is None:
        return None
    tiles = tile_map(_in_order(mask.expr), mask.domain, block)
    columns = tiles.grid.blocks[1]
    kinds = (_relabeled(runs, moved, columns) for runs in (tiles.partial, tiles.full))
    return replace(tiles, kinds=Listed(*kinds), find_ranges=no_ranges)


@lru_cache(maxsize=1024)
def _in_order(expr: Expr) -> Expr:
    """Return a mask over keys in the sequence's order, whose positions are their rows."""
    return rewrite(expr, lambda term: KV_ROW if term == POSITION else None)


@lru_cache(maxsize=1024)
def _reads_positions_alone(expr: Expr) -> bool:
    """Tell whether a mask knows of a key's row its position and nothing else.

    Offsets by batch have the name of positions too, and other subscripts.
    """
    elsewhere = rewrite(expr, lambda term: Load(K_POSITION, ()) if term == POSITION else None)
    return POSITION in walk(expr) and all(term != KV_ROW for term in walk(elsewhere))


def _moved_blocks(table: Tensor, kv_len: int, wide: int) -> Array | None:
    """Return where each block of the sequence stands, None unless whole blocks are moved."""
    if table.dim() != 1 or kv_len % wide:
        return None
    positions = table.numpy(force=True).reshape(-1, wide)
    first = positions[:, 0]
    if (positions != first[:, None] + np.arange(wide)).any():
        return None
    stands = np.argsort(first, kind="stable")
    return stands if np.array_equal(first[stands], np.arange(0, kv_len, wide)) else None


def _relabeled(runs: Runs, moved: Array, columns: int) -> Runs:
    """Return runs whose columns have moved, in order again."""
    row, column = spelled_out(runs)
    key = row * columns + moved[column]
    key.sort()
    row, column = np.divmod(key, columns)
    return merged(row, column, column + 1)
