"""How many tiles of a mask are empty, partial and full, where they can be counted at once."""

from __future__ import annotations

from typing import NamedTuple

from maskc.view.shares import Looker
from maskc.view.squares import Along, areas, true_counts

MOST_TILES = 2**24
"""A mask of more tiles is not counted: it would take longer than a reader waits."""

AT_ONCE = 2**22
"""Tiles that are held in memory."""


class TileCounts(NamedTuple):
    """How many tiles are empty, partial and full, and the share of pairs that attend."""

    kinds: list[int]
    share: float


def tile_counts(looker: Looker) -> TileCounts | None:
    """Return the tiles of a mask; None where its rows are no ranges, or it has too many tiles."""
    scene, side = looker.scene, looker.scene.block
    rows, columns = (Along(0, length, side) for length in (scene.q_len, scene.kv_len))
    if looker.ranges is None or rows.count * columns.count > MOST_TILES:
        return None
    kinds, pairs = [0, 0, 0], 0
    step = max(1, AT_ONCE // columns.count)
    for first in range(0, rows.count, step):
        part = rows.part(first, min(first + step, rows.count))
        counts = true_counts(looker.ranges, (scene.batch, scene.head), part, columns)
        empty, full = int((counts == 0).sum()), int((counts == areas(part, columns)).sum())
        kinds = [kinds[0] + empty, kinds[1] + counts.size - empty - full, kinds[2] + full]
        pairs += int(counts.sum())
    return TileCounts(kinds, pairs / (scene.q_len * scene.kv_len))
