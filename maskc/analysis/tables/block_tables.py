"""The tables of a block mask: for each row of blocks the columns that are full or partial.

Small ones are written from spans or from matrices, which takes few operations for each entry. Large
ones are written from runs, mostly far fewer than blocks: a column counts on from the one before it,
but for the first of a run. Compact ones keep only what is read, and share it between rows where
that is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.tables.compact import compact_tables, to_tensor
from maskc.analysis.tables.indices import counts, indices
from maskc.analysis.tables.of_matrices import tables_of_matrices
from maskc.analysis.tables.of_spans import tables_of_spans
from maskc.analysis.tables.strays import without_strays
from maskc.analysis.tiles.grid import Grid, Pair
from maskc.analysis.tiles.matrices import Matrices, to_matrix
from maskc.analysis.tiles.runs import Array, Runs, split, stacked, transposed
from maskc.analysis.tiles.spans import Spans
from maskc.analysis.tiles.tile_map import Kinds, TileMap

SMALL = 2**16
"""A look at every block of a mask with at most so many takes less time than to look at runs."""

Entries = tuple[Array, Array]
"""Counts and indices of two tables."""


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
            large table long rows run on over the short ones below them, and a few full tiles that
            keep others from sharing are called partial.
        backward: whether to write those by key.

    """
    grid, (high, wide) = tile_map.grid, tile_map.grid.blocks
    if 0 < grid.count <= SMALL and not compact:
        return Tables(*_written(grid, _entries(tile_map, backward)))
    tiles = without_strays(tile_map) if compact else tile_map
    runs = tiles.partial, tiles.full
    by_key = _runs_by_key(tiles) if backward else None
    if compact:
        tables = [*_compact(grid, runs, (high, wide))]
        if by_key is not None:
            tables += _compact(grid, by_key, (wide, high))
    elif by_key is not None and high == wide:
        tables = [*_wide(grid, (*runs, *by_key), (high, wide))]
    else:
        tables = [*_wide(grid, runs, (high, wide))]
        if by_key is not None:
            tables += _wide(grid, by_key, (wide, high))
    return Tables(*tables)


def _runs_by_key(tiles: TileMap) -> tuple[Runs, Runs]:
    """Return the partial and the full blocks, column by column."""
    grid, kinds, (high, wide) = tiles.grid, tiles.kinds, tiles.grid.blocks
    by_key = kinds.transposed(wide) if isinstance(kinds, Spans) else None
    if by_key is not None:
        return by_key.partial, by_key.full
    runs = stacked((tiles.partial, tiles.full), grid.groups * high)
    return split(transposed(runs, (high, wide)), grid.groups * wide)


def _entries(tile_map: TileMap, backward: bool) -> Iterator[Entries]:
    """Yield counts and indices of the tables by query and by key, each of partial and full blocks.

    Indices are ``[2, groups, rows, columns]``, and counts are those of their rows.
    """
    grid, (high, wide), kinds = tile_map.grid, tile_map.grid.blocks, tile_map.kinds
    if isinstance(kinds, Spans):
        by_key = kinds.transposed(wide) if backward else None
        if by_key is not None and high == wide:
            edges = np.concatenate([kinds.edges[:, None], by_key.edges[:, None]], 1)
            counted, listed = tables_of_spans(edges, wide)
            yield from zip(counted.swapaxes(0, 1), listed.swapaxes(0, 1), strict=True)
            return
        yield tables_of_spans(kinds.edges, wide)
        if by_key is not None:
            yield tables_of_spans(by_key.edges, high)
        if by_key is not None or not backward:
            return
    matrices = _matrices(kinds, grid)
    if not isinstance(kinds, Spans):
        yield tables_of_matrices(matrices)
    if backward:
        yield tables_of_matrices(_by_key(matrices))


def _matrices(kinds: Kinds, grid: Grid) -> Array:
    """Return which blocks are partial and which are full, bool ``[2, groups, rows, columns]``."""
    if isinstance(kinds, Matrices):
        both = [kinds.partial_matrix, kinds.full_matrix]
    else:
        both = [to_matrix(runs, grid) for runs in (kinds.partial, kinds.full)]
    return np.stack(both).reshape(2, grid.groups, *grid.blocks)


def _by_key(matrices: Array) -> Array:
    return np.ascontiguousarray(matrices.swapaxes(2, 3))


def _written(grid: Grid, entries: Iterable[Entries]) -> Iterator[Tensor]:
    """Yield counts and indices as tensors, kind by kind."""
    on_host, groups = grid.device.type == "cpu", (grid.batch, grid.heads)
    for both in entries:
        shaped = [table.reshape(2, *groups, *table.shape[2:]) for table in both]
        for kind in zip(*shaped, strict=True):
            for table in map(torch.from_numpy, kind):
                yield table if on_host else table.to(grid.device)


def _compact(grid: Grid, runs: tuple[Runs, Runs], blocks: Pair) -> Iterator[Tensor]:
    """Yield counts and indices of the tables of partial and of full blocks, compact ones."""
    shape = (grid.batch, grid.heads, *blocks)
    for table in compact_tables(*runs, shape):
        yield torch.from_numpy(table.count.reshape(shape[:3])).to(grid.device)
        yield to_tensor(table.layout, shape, grid.device)


def _wide(grid: Grid, kinds: Sequence[Runs], blocks: Pair) -> Iterator[Tensor]:
    """Yield counts and indices of tables of one shape, which are written in one go.

    Args:
        grid: of the tiles.
        kinds: the runs of each table.
        blocks: how many rows and columns a table has.

    """
    shape, rows = (grid.batch, grid.heads, *blocks), grid.groups * blocks[0]
    runs, number = stacked(kinds, rows), len(kinds)
    count = counts(runs, number * rows)
    by_table = count.reshape(number, *shape[:3])
    listed = indices(runs, count, blocks[1], blocks[1]).reshape(number, *shape)
    on_host = grid.device.type == "cpu"
    for pair in zip(by_table, listed, strict=True):
        for table in map(torch.from_numpy, pair):
            yield table if on_host else table.to(grid.device)
