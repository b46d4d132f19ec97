"""A point where a boolean expression holds, or the certainty that there is none."""

from __future__ import annotations

from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.tiles.classify import decide, widths
from maskc.analysis.tiles.grid import Grid, group_indices, matrices, starting_rows
from maskc.analysis.tiles.refine import each, holds, refine, witness
from maskc.analysis.tiles.tile_map import Found
from maskc.ir.evaluate import Point
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import ROW_INDICES, Domain

BLOCK = 64
"""The rows of a side of the smallest tiles."""


def any_true(expr: Expr, domain: Domain) -> Point | None:
    """Return a point of the attention matrix where a row expression holds, None if there is none.

    Subscripts are kept inside their inputs, as in the evaluation on tensors. Indices that the
    expression does not depend on are 0.
    """
    if not all(domain.extent(which) for which in ROW_INDICES):
        return None
    extents = [domain.extent(ix) if ix.dim in expr.deps else 1 for ix in ROW_INDICES]
    batch, heads, q_len, k_len = extents
    result = Found(Grid(batch, heads, (q_len, k_len), (BLOCK, BLOCK), domain.device))
    cover = Cover(expr, domain)
    for undecided in decide(cover, result, matrices(result.grid), widths(result.grid.blocks)):
        refine(cover, result, witness(cover, result, undecided))
        if result.full or result.partial:
            break
    return _point(cover, result)


def _point(cover: Cover, found: Found) -> Point | None:
    """Return the first true point of the first tile that has one."""
    grid = found.grid
    if not found.full and not found.partial:
        return None
    tile = (found.full or found.partial)[0][:1]
    q, k = starting_rows(grid, tile)
    true = holds(cover, grid, tile.group, each(q, BLOCK), each(k, BLOCK))[0]
    row, column = divmod(int(true.byte().argmax()), BLOCK)
    batch, head = group_indices(grid, tile.group)
    q_row = min(int(q) + row, grid.lengths[0] - 1)
    kv_row = min(int(k) + column, grid.lengths[1] - 1)
    return Point(int(batch), int(head), q_row, kv_row)
