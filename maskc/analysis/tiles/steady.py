"""Masks that are the same all over a tile: they are told by one pair of each.

``table[q // 128, k // 128]`` is so in blocks of 128, 64 and 32: a row is only divided, by a
multiple of the rows of a block.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.tiles.grid import Grid, Pair
from maskc.analysis.tiles.tile_map import Share
from maskc.ir.linear import linear
from maskc.ir.nodes import Arith, Expr, Index, IntConst, TopK, children
from maskc.ir.operators import ArithOp
from maskc.ir.rows import KV_ROW, Q_ROW
from maskc.ir.types import Ix
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
    """Return in which tiles a steady mask holds: at all pairs or at none."""
    true = true_in_blocks(mask, domain, grid).numpy(force=True)
    every = np.ascontiguousarray(true).reshape(-1, grid.blocks[1])
    return Share(every, every)


def true_in_blocks(mask: Expr, domain: Domain, grid: Grid) -> Tensor:
    """Return in which blocks a steady mask holds, bool ``[B, H, rows, columns]``."""
    indices = {Ix.BATCH: grid.batch, Ix.HEAD: grid.heads}
    at = {which: torch.arange(count, device=grid.device) for which, count in indices.items()}
    for which, count, size in zip((Ix.Q_IDX, Ix.KV_IDX), grid.blocks, grid.block, strict=True):
        at[which] = torch.arange(0, count * size, size, device=grid.device)
    placed = {which: x.view(_along(dim)) for dim, (which, x) in enumerate(at.items())}
    return vectorize(mask, At(placed), domain).expand(grid.batch, grid.heads, *grid.blocks)


def _along(dim: int) -> tuple[int, ...]:
    return tuple(-1 if one == dim else 1 for one in range(4))
