"""The tiles of a conjunction whose parts are told apart, each in its own way.

Parts that are ranges of keys, beside one equality of ids in any order or parts that are the same
all over a tile: what each holds in is known at once, and what is left to be searched is the edge
of the ranges where ids decide besides.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch

from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.tiles.from_ranges import tiles_of_ranges
from maskc.analysis.tiles.grid import Grid, Tiles
from maskc.analysis.tiles.id_sets import equality, share_of_ids
from maskc.analysis.tiles.matrices import Matrices, to_matrix
from maskc.analysis.tiles.refine import refine, witness
from maskc.analysis.tiles.runs import Array
from maskc.analysis.tiles.steady import is_steady, share_of_steady
from maskc.analysis.tiles.tile_map import NONE, Found, Share, Step, TileMap
from maskc.ir.nodes import TRUE, And, Expr
from maskc.ir.vectorize import Domain

MOST_BLOCKS = 2**26
"""How many blocks are worth a look at each, at some ten bytes: as many as a million tokens have."""


def tiles_of_conjuncts(mask: Expr, domain: Domain, grid: Grid) -> TileMap | None:
    """Return the tiles of ``steady parts & ids equal & ranges of keys``, None for other masks.

    Args:
        mask: a boolean row expression.
        domain: its tensors and sizes.
        grid: the blocks.

    """
    args = mask.args if isinstance(mask, And) else (mask,)
    steady = [arg for arg in args if is_steady(arg, grid.block)]
    compared = {arg: parted for arg in args if arg not in steady and (parted := equality(arg))}
    if not (steady or compared) or len(compared) > 1 or not 0 < grid.count <= MOST_BLOCKS:
        return None
    rest = tuple(arg for arg in args if arg not in steady and arg not in compared)
    frame = _frame(rest, domain, grid)
    if frame is None:
        return None
    shares = [share_of_ids(parted, domain, grid) for parted in compared.values()]
    shares += [share_of_steady(arg, domain, grid) for arg in steady]
    known = [share for share in shares if share is not None]
    if len(known) < len(shares):
        return None
    step = Step.ID_SETS if compared else Step.STEADY
    return _tiles(mask, domain, frame, _joint(known), step)


class _Frame(NamedTuple):
    """The tiles of the ranges: those they hold all over, and at their edge; ``[rows, columns]``."""

    grid: Grid
    full: Array
    partial: Array


def _frame(ranges: tuple[Expr, ...], domain: Domain, grid: Grid) -> _Frame | None:
    """Return the tiles of parts that are ranges of keys, None if they are not."""
    if ranges:
        keys = key_ranges(And((TRUE, TRUE, *ranges)), domain)
        if keys is None:
            return None
        tiles = tiles_of_ranges(keys, grid)
        return _Frame(grid, to_matrix(tiles.full, grid), to_matrix(tiles.partial, grid))
    rows, columns = (length // size for length, size in zip(grid.lengths, grid.block, strict=True))
    inside = np.zeros((grid.groups, *grid.blocks), np.bool_)
    inside[:, :rows, :columns] = True
    full: Array = inside.reshape(-1, grid.blocks[1])
    return _Frame(grid, full, ~full)


def _joint(shares: list[Share]) -> Share:
    """Return what shares hold in together, of which at most one may hold at some pairs only."""
    some, every = (reduce(operator.and_, parts) for parts in zip(*shares, strict=True))
    return Share(some, every)


def _tiles(mask: Expr, domain: Domain, frame: _Frame, share: Share, step: Step) -> TileMap:
    """Decide the tiles within ranges by what else must hold; search those at the edge of both."""
    grid = frame.grid
    full = share.every & frame.full
    partial = (share.some & frame.full & ~full) | (share.every & frame.partial)
    unsure = share.some & ~share.every & frame.partial
    decided = {**NONE, step: grid.count}
    if unsure.any():
        searched = _searched(mask, domain, grid, *unsure.nonzero())
        full |= to_matrix(searched.full, grid)
        partial |= to_matrix(searched.partial, grid)
        decided = {**searched.decided, step: grid.count - int(unsure.sum()), Step.RANGES: 0}
    return TileMap(grid, Matrices(partial, full), decided)


def _searched(mask: Expr, domain: Domain, grid: Grid, row: Array, column: Array) -> TileMap:
    """Return what becomes of some blocks."""
    cover, result = Cover(mask, domain), Found(grid)
    line = np.divmod(row, grid.blocks[0])
    group, q, k = (torch.from_numpy(part).to(grid.device) for part in (*line, column))
    refine(cover, result, witness(cover, result, Tiles(group, q, k)))
    return result.finish()
