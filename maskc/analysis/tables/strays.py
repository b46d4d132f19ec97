"""Full tiles that keep a large compact table from being small, and are too few to matter.

Rows of full tiles that are nested sets share one sequence of columns, however many they are. A few
rows with other columns, such as short documents beside a long one, make every row have memory of
its own, as far apart as the longest is long. Called partial instead, their tiles cost the kernel a
look at the mask, which is true there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskc.analysis.tables.compact import shared_sequence
from maskc.analysis.tables.indices import counts
from maskc.analysis.tiles.runs import Array, Runs, merged
from maskc.analysis.tiles.tile_map import Listed, TileMap

WORTH = 8 * 2**20
"""The bytes of a table from which on a tile is called partial to save them."""
RARE = 64
"""Strays are at most one of so many full tiles."""


def without_strays(tiles: TileMap) -> TileMap:
    """Return the tiles with those full ones as partial that keep the others from sharing.

    A tile that is full may be called partial, for the mask is true there.
    """
    grid, full = tiles.grid, tiles.full
    rows = grid.groups * grid.blocks[0]
    count = counts(full, rows)
    if int(count.max(initial=0)) * rows * np.dtype(np.int32).itemsize < WORTH:
        return tiles
    within = _within_longest(full, count, grid.blocks)
    nested, strays = _chosen(full, within), _chosen(full, ~within)
    if not len(strays) or strays.count * RARE > full.count:
        return tiles
    if shared_sequence(nested, counts(nested, rows), grid.blocks) is None:
        return tiles
    return replace(tiles, kinds=Listed(_joined(tiles.partial, strays), nested))


def _within_longest(full: Runs, count: Array, blocks: tuple[int, int]) -> Array:
    """Return which runs are of rows whose columns the longest row of their group has, too."""
    rows, columns = blocks
    longest = count.reshape(-1, rows).argmax(1) + np.arange(len(count) // rows) * rows
    group = full.row // rows
    of_longest = full.row == longest[group]
    ends = np.zeros((len(longest), columns + 1), np.int64)
    np.add.at(ends, (group[of_longest], full.first[of_longest]), 1)
    np.add.at(ends, (group[of_longest], full.stop[of_longest]), -1)
    held = np.zeros((len(longest), columns + 1), np.int64)
    held[:, 1:] = ends.cumsum(1)[:, :-1].cumsum(1)
    inside = held[group, full.stop] - held[group, full.first] == full.length
    outside_rows = np.bincount(full.row[~inside], minlength=len(count))
    within: Array = outside_rows[full.row] == 0
    return within


def _chosen(runs: Runs, which: Array) -> Runs:
    return Runs(runs.row[which], runs.first[which], runs.stop[which])


def _joined(one: Runs, other: Runs) -> Runs:
    """Return the runs of both, in order; no block is in both."""
    row, first, stop = (
        np.concatenate(pair)
        for pair in ((one.row, other.row), (one.first, other.first), (one.stop, other.stop))
    )
    order = np.lexsort((first, row))
    return merged(row[order], first[order], stop[order])
