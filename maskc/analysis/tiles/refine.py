"""Witness and refine: what becomes of the blocks that intervals leave open.

A block with a true and a false point is partial, and a few points are enough to find them in
nearly all of these. What is left is cut into parts: intervals decide most parts, and the points of
the others are evaluated, in chunks of bounded memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.analysis.intervals.domain import Bounds
from maskc.analysis.intervals.evaluate import Cover
from maskc.analysis.tiles.grid import (
    Grid,
    Tiles,
    boxed,
    joined,
    rows,
    spread,
    starting_rows,
)
from maskc.analysis.tiles.tile_map import Found, Step
from maskc.ir.vectorize import At, vectorize

PARTS = 8
"""A block is cut into at most this many parts a side."""

LATTICE = 16
"""How many rows and keys of a block are tried where a few have shown nothing."""

POINTS = 2**21
"""How many points are evaluated in one pass; it bounds the memory."""


def witness(cover: Cover, found: Found, blocks: Tiles) -> Tiles:
    """Keep as partial the blocks with a true and a false point among some; return the others."""
    for chosen in (_few, _lattice):
        q_rows, k_rows = (chosen(size) for size in found.grid.block)
        size = max(1, POINTS // (len(q_rows) * len(k_rows)))
        left = [_witness(cover, found, some, q_rows, k_rows) for some in blocks.chunks(size)]
        blocks = joined(left, found.grid)
    return blocks


def _witness(
    cover: Cover, found: Found, blocks: Tiles, q_rows: list[int], k_rows: list[int]
) -> Tiles:
    """Try some rows and keys of each block."""
    starts = starting_rows(found.grid, blocks)
    q, k = (
        start[:, None] + torch.tensor(rows, device=start.device)
        for start, rows in zip(starts, (q_rows, k_rows), strict=True)
    )
    true = holds(cover, found.grid, blocks.group, q, k)
    proven = true.any(-1) & (~true.all(-1) | _cropped(found, blocks))
    found.keep(partial=blocks[proven])
    unproven = blocks[~proven]
    found.decided[Step.WITNESS] += len(blocks) - len(unproven)
    return unproven


def refine(cover: Cover, found: Found, blocks: Tiles) -> None:
    """Decide ``blocks`` by their parts, and by every point of the parts that stay open."""
    high, wide = found.grid.block
    for some in blocks.chunks(POINTS // (high * wide)):
        _refine(cover, found, some)


def holds(cover: Cover, grid: Grid, group: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether the mask holds at all pairs of rows ``q [T, m]`` and ``k [T, n]``.

    Rows beyond the matrix stand for its last. The result is ``[T, m * n]``.
    """
    place = boxed(
        grid,
        group[:, None, None],
        rows(q[:, :, None], 1, grid.lengths[0]),
        rows(k[:, None, :], 1, grid.lengths[1]),
    )
    at = At({which: bounds.lo for which, bounds in place.items()})
    true = vectorize(cover.expr, at, cover.domain)
    return true.expand(len(group), q.shape[1], k.shape[1]).flatten(1)


def _refine(cover: Cover, found: Found, blocks: Tiles) -> None:
    q, k = _parts(found, blocks)
    shape = len(blocks), q.lo.shape[1], k.lo.shape[2]
    place = boxed(found.grid, blocks.group[:, None, None], q, k)
    always, never = spread(cover.truth(place), shape, blocks.q.device)
    true, false = always.flatten(1).any(-1), never.flatten(1).any(-1) | _cropped(found, blocks)
    still_open = ~(always | never) & ~(true & false)[:, None, None]
    block, row, column = still_open.nonzero(as_tuple=True)
    rows_seen = _within(q.lo[block, row, 0], q.hi[block, row, 0], found.grid.block[0])
    keys_seen = _within(k.lo[block, 0, column], k.hi[block, 0, column], found.grid.block[1])
    seen = holds(cover, found.grid, blocks.group[block], rows_seen, keys_seen)
    true[block[seen.any(-1)]] = True
    false[block[~seen.all(-1)]] = True
    found.keep(full=blocks[~false], partial=blocks[true & false])
    pointwise = int(still_open.flatten(1).any(-1).sum())
    found.decided[Step.POINTS] += pointwise
    found.decided[Step.PARTS] += len(blocks) - pointwise


def _parts(found: Found, blocks: Tiles) -> tuple[Bounds, Bounds]:
    """Return the rows ``[T, parts, 1]`` and keys ``[T, 1, parts]`` of the parts of blocks."""
    sides = []
    for start, size, length in zip(
        starting_rows(found.grid, blocks), found.grid.block, found.grid.lengths, strict=True
    ):
        part = -(-size // PARTS)
        first = start[:, None] + torch.arange(0, size, part, device=start.device)
        last = torch.minimum(first + (part - 1), start[:, None] + (size - 1))
        sides.append((first.clamp(max=length - 1), last.clamp(max=length - 1), length - 1))
    (q, q_last, q_reach), (k, k_last, k_reach) = sides
    return (
        Bounds(q[:, :, None], q_last[:, :, None], q_reach),
        Bounds(k[:, None, :], k_last[:, None, :], k_reach),
    )


def _within(first: Tensor, last: Tensor, size: int) -> Tensor:
    """Return all rows from ``first`` to ``last``; the last is repeated in shorter parts."""
    return torch.minimum(each(first, -(-size // PARTS)), last[:, None])


def _few(size: int) -> list[int]:
    """Return a few of the rows of a block: the ends, their neighbours, the middle."""
    return sorted({0, min(1, size - 1), size // 2, max(0, size - 2), size - 1})


def _lattice(size: int) -> list[int]:
    """Return rows all over a block, at distances that differ, so that no period escapes them."""
    step = max(1, size // LATTICE)
    places = {place + place // step * 7 % step for place in range(0, size, step)}
    return sorted(place for place in places if place < size)


def each(start: Tensor, size: int) -> Tensor:
    """Return all of the ``size`` rows from ``start``."""
    return start[:, None] + torch.arange(size, device=start.device)


def _cropped(found: Found, blocks: Tiles) -> Tensor:
    """Tell which blocks have rows beyond the matrix."""
    q, k = starting_rows(found.grid, blocks)
    (q_len, k_len), (high, wide) = found.grid.lengths, found.grid.block
    return (q > q_len - high) | (k > k_len - wide)
