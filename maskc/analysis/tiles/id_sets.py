"""Tiles of ids that stand in any order: what two blocks share is told by which ids occur in each.

``a[q] == b[k]`` holds somewhere in a tile where its queries and its keys share an id, and at every
pair where each side has that one id only. With a row of flags for each block, one for each id, the
ids that two blocks share are counted by a product of matrices. What else the mask asks for may be
ranges of keys: those are known, and only their edge is left to be searched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.key_ranges.bound import Bound, Relation, bound
from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.key_ranges.values import Values
from maskc.analysis.tiles.from_ranges import tiles_of_ranges
from maskc.analysis.tiles.grid import Grid, Tiles
from maskc.analysis.tiles.refine import refine, witness
from maskc.analysis.tiles.runs import Array, Runs, merged, spelled_out
from maskc.analysis.tiles.tile_map import Found, Step, TileMap
from maskc.ir.nodes import TRUE, And, Expr
from maskc.ir.types import Dim
from maskc.ir.vectorize import Domain

MOST_BLOCKS = 2**22
MOST_FLAGS = 2**24
MOST_PRODUCTS = 2**32
"""How many blocks, flags and products of flags are worth it."""


def tiles_of_ids(mask: Expr, domain: Domain, grid: Grid) -> TileMap | None:
    """Return the tiles of ``ids equal & ranges of keys``, None for another mask or many ids.

    Args:
        mask: a boolean row expression.
        domain: its tensors and sizes.
        grid: the blocks.

    """
    args = mask.args if isinstance(mask, And) else (mask,)
    compared = [parted for arg in args if (parted := _equality(arg)) is not None]
    if len(compared) != 1 or not 0 < grid.count <= MOST_BLOCKS:
        return None
    rest = tuple(arg for arg in args if _equality(arg) is None)
    frame = key_ranges(And((TRUE, TRUE, *rest)), domain)
    shared = None if frame is None else _shared(compared[0], domain, grid)
    if frame is None or shared is None:
        return None
    return _tiles(mask, domain, tiles_of_ranges(frame, grid), shared)


def _equality(arg: Expr) -> Bound | None:
    """Return an equality of something of the key and something of the query."""
    if Dim.Q | Dim.K not in arg.deps:
        return None
    parted = bound(arg, True)
    return parted if parted and parted.relation is Relation.EQUAL and parted.factor == 1 else None


class _Shared(NamedTuple):
    """Whether some pair of a tile has one id, and whether every pair has, ``[lines, columns]``."""

    some: Array
    every: Array


def _shared(compared: Bound, domain: Domain, grid: Grid) -> _Shared | None:
    """Return what blocks of queries and of keys share, None if there are too many ids."""
    values = Values(domain)
    queries, keys = values.total(compared.query), values.total(compared.key)
    if queries is None or keys is None:
        return None
    q_ids, k_ids = (
        np.broadcast_to(ids, (grid.batch, grid.heads, length)).reshape(grid.groups, length)
        for ids, length in zip((queries, keys), grid.lengths, strict=True)
    )
    result = [_of_group(q, k, grid) for q, k in zip(q_ids, k_ids, strict=True)]
    tables = [shared for shared in result if shared is not None]
    if len(tables) < len(result):
        return None
    return _Shared(*(np.concatenate(parts) for parts in zip(*tables, strict=True)))


def _of_group(q_ids: Array, k_ids: Array, grid: Grid) -> _Shared | None:
    known, k_number = np.unique(k_ids, return_inverse=True)
    rows, columns = grid.blocks
    count = len(known)
    if (rows + columns) * count > MOST_FLAGS or rows * columns * count > MOST_PRODUCTS:
        return None
    place = np.searchsorted(known, q_ids).clip(max=count - 1)
    q_number = np.where(known[place] == q_ids, place, count)  # the last flag: an id no key has
    q_flags = _flags(q_number, (rows, count + 1), grid.block[0])
    k_flags = _flags(k_number, (columns, count), grid.block[1])
    some = q_flags[:, :count] @ k_flags.T > 0
    single = np.logical_and.outer(q_flags.sum(1) == 1, k_flags.sum(1) == 1)
    return _Shared(some, some & single)


def _flags(number: Array, shape: tuple[int, int], size: int) -> Array:
    """Return for each block of ``size`` rows which ids it has, as 0.0 and 1.0."""
    flags = np.zeros(shape, np.float32)
    flags[np.arange(len(number)) // size, number] = 1
    return flags


def _tiles(mask: Expr, domain: Domain, frame: TileMap, shared: _Shared) -> TileMap:
    """Decide the tiles within ranges by the ids they share, and search those at the edge."""
    grid = frame.grid
    row, column = spelled_out(frame.full)
    some, every = shared.some[row, column], shared.every[row, column]
    edge_row, edge_column = spelled_out(frame.partial)
    edge = shared.some[edge_row, edge_column]
    searched = _searched(mask, domain, grid, edge_row[edge], edge_column[edge])
    inner = some & ~every
    decided = {**searched.decided, Step.ID_SETS: grid.count - int(edge.sum()), Step.RANGES: 0}
    partial = _united(grid, searched.partial, row[inner], column[inner])
    return TileMap(grid, partial, _united(grid, searched.full, row[every], column[every]), decided)


def _searched(mask: Expr, domain: Domain, grid: Grid, row: Array, column: Array) -> TileMap:
    """Return what becomes of some blocks."""
    line = np.divmod(row, grid.blocks[0])
    group, q, k = (torch.from_numpy(part).to(grid.device) for part in (*line, column))
    cover, result = Cover(mask, domain), Found(grid)
    refine(cover, result, witness(cover, result, Tiles(group, q, k)))
    return result.finish()


def _united(grid: Grid, runs: Runs, row: Array, column: Array) -> Runs:
    """Return runs and single blocks as runs."""
    columns = grid.blocks[1]
    own_row, own_column = spelled_out(runs)
    key = np.concatenate([own_row * columns + own_column, row * columns + column])
    key.sort()
    row, column = np.divmod(key, columns)
    return merged(row, column, column + 1)
