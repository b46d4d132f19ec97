"""Every tile of a mask, full, partial or empty: by ranges of keys, or else by a search.

A search decides, finds witnesses, and refines. Large tiles come first. Intervals decide most of
them, so the work follows the boundary of the mask and not its area; what is left of the smallest
tiles is proven partial by two points, or looked at in parts and, where even that is not enough,
point by point.
"""

from __future__ import annotations

from collections.abc import Iterator

from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.key_ranges.lines import lines
from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.analysis.tiles.conjuncts import tiles_of_conjuncts
from maskc.analysis.tiles.from_ranges import decided_by_ranges, spans_of_lines, tiles_of_ranges
from maskc.analysis.tiles.grid import (
    Grid,
    Pair,
    Tiles,
    box,
    grid_of,
    matrices,
    spread,
    sticking_out,
)
from maskc.analysis.tiles.refine import refine, witness
from maskc.analysis.tiles.spans import Spans
from maskc.analysis.tiles.tile_map import Found, TileMap
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain

TOP = 128
"""The largest tiles are so large that there are at most this many a side."""

FACTOR = 8
"""An open tile is cut into this many a side."""

CHUNK = 2**17
"""How many tiles are looked at in one pass; it bounds the memory."""


def tile_map(
    mask: Expr, domain: Domain, block_size: Pair, known: KeyRanges | None = None
) -> TileMap:
    """Classify every tile of a row program's mask.

    Args:
        mask: a boolean row expression.
        domain: its tensors and sizes; the work is done on their device.
        block_size: how many rows of q and of kv a tile has.
        known: the keys of its rows, where they are known to be ranges.

    """
    grid = grid_of(mask, domain, block_size)
    if known is None and (spans := _spans_of_lines(mask, domain, grid)) is not None:
        return decided_by_ranges(grid, spans, lambda: key_ranges(mask, domain))
    ranges = known or key_ranges(mask, domain)
    if ranges is not None:
        return tiles_of_ranges(ranges, grid)
    return tiles_of_conjuncts(mask, domain, grid) or searched(mask, domain, grid)


def _spans_of_lines(mask: Expr, domain: Domain, grid: Grid) -> Spans | None:
    """Return the tiles of a mask whose ranges end in lines, None for others."""
    known = lines(mask) if grid.count else None
    return None if known is None else spans_of_lines(known.at(domain.sizes), grid)


def searched(mask: Expr, domain: Domain, grid: Grid) -> TileMap:
    """Classify every tile of any mask, without a look at the ranges of its rows."""
    cover = Cover(mask, domain)
    result = Found(grid)
    for undecided in decide(cover, result, matrices(result.grid), widths(result.grid.blocks)):
        unproven = witness(cover, result, undecided)
        refine(cover, result, unproven)
    return result.finish()


def widths(blocks: Pair) -> tuple[Pair, ...]:
    """Return the widths of tiles in blocks, from the largest to 1."""
    chain: list[Pair] = [(1, 1)]
    while any(-(-count // width) > TOP for count, width in zip(blocks, chain[0], strict=True)):
        q, k = (
            width * FACTOR if width < count else width
            for count, width in zip(blocks, chain[0], strict=True)
        )
        chain.insert(0, (q, k))
    return tuple(chain)


def decide(cover: Cover, found: Found, tiles: Tiles, smaller: tuple[Pair, ...]) -> Iterator[Tiles]:
    """Cut ``tiles`` to the widths ``smaller`` one by one, and keep what intervals decide.

    Yields:
        Lists of single blocks that stay open.

    """
    if not smaller:
        yield tiles
        return
    width, *rest = smaller
    per_tile = max(1, -(-tiles.width[0] // width[0]) * -(-tiles.width[1] // width[1]))
    for some in tiles.chunks(CHUNK // per_tile):
        still_open = _sort_out(cover, found, some.cut(width))
        if len(still_open):
            yield from decide(cover, found, still_open, tuple(rest))


def _sort_out(cover: Cover, found: Found, tiles: Tiles) -> Tiles:
    """Keep the tiles that intervals decide, and return the others."""
    truth = cover.truth(box(found.grid, tiles))
    shape = (len(tiles), tiles.q.shape[1], tiles.k.shape[2])
    always, never = spread(truth, shape, found.grid.device)
    beyond, cropped = sticking_out(found.grid, tiles)
    if beyond is None or cropped is None:
        found.keep(full=tiles.where(always))
        return tiles.where(~(always | never))
    found.keep(full=tiles.where(always & ~cropped))
    if tiles.width == (1, 1):
        found.keep(partial=tiles.where(always & cropped & ~beyond))
        return tiles.where(~(always | never | beyond))
    return tiles.where(~(never | beyond) & (cropped | ~always))
