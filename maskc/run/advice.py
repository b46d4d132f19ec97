"""What would make a bound call cheaper, where something would."""

from __future__ import annotations

import numpy as np

from maskc.analysis.key_ranges.bound import is_of_ids
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.call import CallSpec
from maskc.blocks.auto_size import choices, work
from maskc.blocks.mask_blocks import MaskBlocks, tiles_of
from maskc.ir.nodes import inputs, walk
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain

WORTH = 0.75
"""The share of the work that must be left for an advice to be worth its place."""

MOST_PAIRS = 2**26
"""Of a mask whose tiles are counted again in other sizes, unless its rows are ranges of keys."""


def advice(spec: CallSpec, blocks: MaskBlocks) -> list[str]:
    """Return what to do, a line each; nothing where nothing is known to help.

    Args:
        spec: the call.
        blocks: the tiles of its mask.

    """
    scattered = _scattered(blocks)
    return scattered or _block_size(spec, blocks)


def _scattered(blocks: MaskBlocks) -> list[str]:
    """Tell of ids whose tokens are not side by side; then no tile is decided by a few ids."""
    mask = blocks.mask
    names = dict.fromkeys(
        read.name.partition("@")[0]
        for term in walk(mask.expr)
        if is_of_ids(term)
        for read in inputs(term)
        if _is_scattered(mask.domain, read.name)
    )
    return [
        f"the ids of `{name}` are not side by side: sort the tokens by them, and bind with "
        f"q_positions=order, kv_positions=order"
        for name in names
    ]


def _is_scattered(domain: Domain, name: str) -> bool:
    """Tell whether some id stands in two places of one row, with others between."""
    rows = domain.tensors[name].detach().cpu().numpy()
    if rows.ndim == 0 or rows.shape[-1] < 2:
        return False
    rows = rows.reshape(-1, rows.shape[-1])
    runs = 1 + np.count_nonzero(rows[:, 1:] != rows[:, :-1], axis=1)
    return any(count > len(np.unique(row)) for count, row in zip(runs, rows, strict=True))


def _block_size(spec: CallSpec, blocks: MaskBlocks) -> list[str]:
    """Tell of smaller tiles, where they leave much less to do."""
    tiles = blocks.tile_map
    pairs = spec.sizes[Sz.Q_LEN] * spec.sizes[Sz.KV_LEN]
    if spec.block_size is None or not tiles.partial_count:
        return []
    if pairs > MOST_PAIRS and blocks.key_ranges is None:
        return []
    best = min((tiles_of(blocks.ranged, size) for size in choices(blocks.mask.domain)), key=work)
    share = work(best) / max(work(tiles), 1)
    if share > WORTH:
        return []
    return [f"{_told(tiles)}: block_size={best.grid.block[0]} leaves {share:.0%} of the work"]


def _told(tiles: TileMap) -> str:
    """Return how many of the tiles that are computed hold pairs that are not seen."""
    run = tiles.full_count + tiles.partial_count
    return f"{tiles.partial_count} of the {run} tiles that are computed are partial"
