"""Tiles and block masks of masks that read no tensor, kept from step to step.

What such a mask does is told by the program and the sizes alone, so a kept one can never be stale.
A mask that reads a tensor, an offset or a position is never kept: its tensor may change in place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.bind import BoundMask
from maskc.blocks.auto_size import choices, work
from maskc.ir.nodes import Expr, inputs
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower import flex

if TYPE_CHECKING:
    import torch
    from torch.nn.attention.flex_attention import BlockMask

KEPT = 32
"""How many structural masks are kept."""

LARGEST = 2**22
"""Masks of more tiles than this are not kept: their tables are large."""


def tiles_of(mask: BoundMask, block: tuple[int, int] | None) -> TileMap:
    """Return the tiles of a bound mask, of the size that suits it if ``block`` is None."""
    if block is None:
        return min((tiles_of(mask, size) for size in choices(mask.domain)), key=work)
    if not _keeps(mask, block):
        return tile_map(mask.expr, mask.domain, block)
    return _tiles(mask.expr, tuple(mask.domain.sizes.items()), mask.domain.device, block)


def block_mask_of(mask: BoundMask, tiles: TileMap, compact: bool) -> BlockMask:
    """Return the block mask of a bound mask from its tiles."""
    domain = mask.domain
    if not _keeps(mask, tiles.grid.block):
        return flex.block_mask(mask.expr, domain, tiles, compact)
    sizes = tuple(domain.sizes.items())
    return _block_mask(mask.expr, sizes, domain.device, tiles.grid.block, compact)


def _keeps(mask: BoundMask, block: tuple[int, int]) -> bool:
    q_len, kv_len = mask.domain.sizes[Sz.Q_LEN], mask.domain.sizes[Sz.KV_LEN]
    return not inputs(mask.expr) and (q_len // block[0]) * (kv_len // block[1]) <= LARGEST


@lru_cache(maxsize=KEPT)
def _tiles(
    mask: Expr, sizes: tuple[tuple[Sz, int], ...], device: torch.device, block: tuple[int, int]
) -> TileMap:
    return tile_map(mask, Domain(dict(sizes), {}, device), block)


@lru_cache(maxsize=KEPT)
def _block_mask(
    mask: Expr,
    sizes: tuple[tuple[Sz, int], ...],
    device: torch.device,
    block: tuple[int, int],
    compact: bool,
) -> BlockMask:
    tiles = _tiles(mask, sizes, device, block)
    return flex.block_mask(mask, Domain(dict(sizes), {}, device), tiles, compact)
