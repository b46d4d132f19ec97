"""The tiles of rows whose keys are ranges, in a time that grows with the rows and the blocks.

A block is touched by a row that has one of its keys, and covered by a row that has them all. Full
is what all rows cover, partial what some row touches besides. Rows that follow each other mostly
touch and cover the same blocks, so they are counted in stretches; where the counts of a row of
blocks change is then a short list, in order, and one sum along it tells them all. Where the one
range of each row meets that of the next, extremes of their ends tell as much.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from maskc.analysis.key_ranges.lines import Ends
from maskc.analysis.key_ranges.ranges import Array, KeyRanges, spread
from maskc.analysis.tiles.grid import Grid
from maskc.analysis.tiles.runs import Runs, merged
from maskc.analysis.tiles.spans import Spans
from maskc.analysis.tiles.tile_map import NONE, Kinds, Listed, Step, TileMap


def tiles_of_ranges(ranges: KeyRanges, grid: Grid) -> TileMap:
    """Return the tiles of a mask from the ranges of keys of its rows."""
    kinds = _by_extremes(ranges, grid) or _by_changes(ranges, grid)
    return decided_by_ranges(grid, kinds, lambda: ranges)


def decided_by_ranges(
    grid: Grid, kinds: Kinds, find_ranges: Callable[[], KeyRanges | None]
) -> TileMap:
    """Return tiles that are told by the ranges of keys of their rows."""
    return TileMap(grid, kinds, {**NONE, Step.KEY_RANGES: grid.count}, find_ranges)


def _by_extremes(ranges: KeyRanges, grid: Grid) -> Spans | None:
    """Return the tiles where each row's range meets that of the next.

    The rows of a block then touch what lies between the least and the largest of their ends, and
    cover what lies between the innermost. None where rows do not meet, or have several ranges.
    """
    if ranges.ends.shape[1] != 1:
        return None
    q_len, high = grid.lengths[0], grid.block[0]
    ends = spread(ranges.ends[:, 0], (2, grid.batch, grid.heads, q_len))
    ends = ends.reshape(2, grid.groups, q_len)
    if not (ranges.all_have_keys or (ends[0] < ends[1]).all()) or not _meet(*ends):
        return None
    at = np.arange(0, q_len, high)
    edges = np.empty((4, grid.groups, len(at)), np.int32)
    edges[::2], edges[1::2] = _extremes(ends, at)
    return _spans(edges, grid)


def _extremes(ends: Array, at: Array) -> tuple[Array, Array]:
    """Return the least and the largest ends of the rows of each block, from where these begin."""
    return np.minimum.reduceat(ends, at, 2), np.maximum.reduceat(ends, at, 2)


def spans_of_lines(ends: Ends, grid: Grid) -> Spans | None:
    """Return the tiles of rows whose ends are lines or stairs, None where rows do not meet."""
    q_len, high = grid.lengths[0], grid.block[0]
    if not ends.meet(q_len):
        return None
    rows = np.arange(0, q_len, high) + np.array([[0], [high - 1]])  # the first and last of a block
    rows[1, -1] = q_len - 1
    edges = np.empty((4, 1, rows.shape[1]), np.int32)
    edges[:2, 0], edges[2:, 0] = ends.over(rows)
    return _spans(edges, grid)


def _spans(ends: Array, grid: Grid) -> Spans:
    """Return the tiles of rows that meet, by the extremes of their ends.

    Args:
        ends: int32 ``[4, groups, rows of blocks]``: of the rows of a block the least and the
            largest first key, and the least and the largest end. It is changed.
        grid: the blocks.

    """
    (q_len, _), (high, wide) = grid.lengths, grid.block
    _, inner, outer, end = ends
    ends[1::2] += wide - 1
    ends //= np.int32(wide)
    np.minimum(inner, end, out=inner)
    np.maximum(outer, inner, out=outer)
    if q_len % high:
        ends[1:3, :, -1] = end[:, -1]  # a block that sticks out is partial
    return Spans(ends)


def _meet(first: Array, stop: Array) -> bool:
    """Tell whether the keys of each row overlap or touch those of the next; each row has some."""
    return bool((first[:, 1:] <= stop[:, :-1]).all() and (first[:, :-1] <= stop[:, 1:]).all())


def _by_changes(ranges: KeyRanges, grid: Grid) -> Listed:
    """Return the tiles of any ranges."""
    columns = grid.blocks[1]
    changes = [_changes(first, stop, grid) for first, stop in ranges.ends.swapaxes(0, 1)]
    if not changes:
        changes = [(np.zeros(0, np.int64),) * 3]
    key, touched, covered = (np.concatenate(parts) for parts in zip(*changes, strict=True))
    order = key.argsort(kind="stable")
    key, touched, covered = key[order], touched[order].cumsum(), covered[order].cumsum()
    full = covered == grid.block[0]
    partial = _chosen(key, (touched > 0) & ~full, columns)
    return Listed(partial, _chosen(key, full, columns))


def _chosen(key: Array, chosen: Array, columns: int) -> Runs:
    """Return the blocks from each of the chosen changes to the next as runs."""
    at = np.flatnonzero(chosen[:-1] & (key[1:] > key[:-1]))
    row, first = np.divmod(key[at], columns)
    return merged(row, first, key[at + 1] - row * columns)


def _changes(first: Array, stop: Array, grid: Grid) -> tuple[Array, Array, Array]:
    """Return at which blocks how many more rows touch a block, and how many more cover it.

    Args:
        first: of one range a row, ``[B, H, Q]``.
        stop: likewise.
        grid: the blocks.

    """
    (q_len, _), (high, wide) = grid.lengths, grid.block
    rows, columns = grid.blocks
    shape = grid.batch, grid.heads, q_len
    first, stop = (spread(end, shape).reshape(grid.groups, q_len) for end in (first, stop))
    low, past = _halves(first, wide), _halves(stop, wide)
    begins = np.empty(low.shape, np.bool_)
    begins[:, 1:] = (low[:, 1:] != low[:, :-1]) | (past[:, 1:] != past[:, :-1])
    begins[:, ::high] = True
    at = np.flatnonzero(begins)
    weight = np.concatenate([at[1:], [low.size]]) - at
    group, row = np.divmod(at, q_len)
    line = (group * rows + row // high) * columns
    low, past = low.reshape(-1)[at].astype(np.int64), past.reshape(-1)[at].astype(np.int64)
    covers = np.minimum((low + 1) >> 1, past >> 1)  # a range within a block covers none
    keys = line + (low >> 1), line + ((past + 1) >> 1), line + covers, line + (past >> 1)
    none = np.zeros_like(weight)
    touched = np.concatenate([weight, -weight, none, none])
    covered = np.concatenate([none, none, weight, -weight])
    return np.concatenate(keys), touched, covered


def _halves(end: Array, wide: int) -> Array:
    """Return twice the block that begins at ``end``, or one more within the block it lies in."""
    block = end // np.int32(wide)
    inside = end != block * np.int32(wide)
    block += block
    block += inside
    return block
