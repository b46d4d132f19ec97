"""Masks that are the same all over a tile: they are told by one pair of each.

``table[q // 128, k // 128]`` is so in blocks of 128, 64 and 32: a row is only divided, by a
multiple of the rows of a block.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.key_ranges.ranges import spread
from maskc.analysis.tiles.grid import Grid, Pair
from maskc.analysis.tiles.runs import Array
from maskc.analysis.tiles.tile_map import Share
from maskc.ir.linear import linear
from maskc.ir.nodes import Arith, Expr, Index, IntConst, Same, TopK, children, walk
from maskc.ir.operators import ArithOp
from maskc.ir.points import Points
from maskc.ir.rows import KV_ROW, Q_ROW
from maskc.ir.types import Ix, Type
from maskc.ir.vectorize import At, Domain, vectorize


@lru_cache(maxsize=1024)
def is_steady(expr: Expr, block: Pair) -> bool:
    """Tell whether an expression has one value all over each tile of ``block`` rows and keys."""
    match expr:
        case Index(which):
            return which not in (Ix.Q_IDX, Ix.KV_IDX)
        case TopK():
            return False
        case Arith(ArithOp.FLOORDIV, rows, IntConst(divisor)) if _divides(rows, divisor, block):
            return True
        case _:
            return all(is_steady(kid, block) for kid in children(expr))


def _divides(rows: Expr, divisor: int, block: Pair) -> bool:
    """Tell whether a quotient changes only where a block ends."""
    form = linear(rows)
    for row, size in zip((Q_ROW, KV_ROW), block, strict=True):
        if form.terms == ((row, 1),):
            return divisor > 0 and divisor % size == 0 and form.constant % size == 0
    return False


def share_of_steady(mask: Expr, domain: Domain, grid: Grid) -> Share:
    """Return in which tiles a steady mask holds: at all pairs or at none.

    In numpy on the host, where a call costs a fifth of one of torch. A kernel compares floats of 32
    bits, as torch does.
    """
    shape = grid.batch, grid.heads, *grid.blocks
    if grid.device.type == "cpu" and not _has_floats(Same(mask)):
        true = spread(Points(domain, _first_pairs(grid)).of(mask), shape)
    else:
        true = true_in_blocks(mask, domain, grid).numpy(force=True)
    every = np.ascontiguousarray(true).reshape(-1, grid.blocks[1])
    return Share(every, every)


def _first_pairs(grid: Grid) -> dict[Ix, Array]:
    """Return the first pair of each block of each group, an array for each index."""
    (rows, columns), (high, wide) = grid.blocks, grid.block
    return {
        Ix.BATCH: np.arange(grid.batch)[:, None, None, None],
        Ix.HEAD: np.arange(grid.heads)[:, None, None],
        Ix.Q_IDX: np.arange(0, rows * high, high)[:, None],
        Ix.KV_IDX: np.arange(0, columns * wide, wide),
    }


def true_in_blocks(mask: Expr, domain: Domain, grid: Grid) -> Tensor:
    """Return in which blocks a steady mask holds, bool ``[B, H, rows, columns]``.

    No operation waits for the device.
    """
    (rows, columns), (high, wide) = grid.blocks, grid.block
    ends = {
        Ix.BATCH: (grid.batch, 1),
        Ix.HEAD: (grid.heads, 1),
        Ix.Q_IDX: (rows * high, high),
        Ix.KV_IDX: (columns * wide, wide),
    }
    at = {}
    for dim, (which, (end, step)) in enumerate(ends.items()):
        shape = [1, 1, 1, 1]
        shape[dim] = -1
        at[which] = torch.arange(0, end, step, device=grid.device).view(shape)
    return vectorize(mask, At(at), domain).expand(grid.batch, grid.heads, rows, columns)


@lru_cache(maxsize=1024)
def _has_floats(mask: Same) -> bool:
    return any(term.type is Type.FLOAT for term in walk(mask.expr))
