"""A bound mask as FlexAttention takes it: tiles, tables and code, made when first asked for.

The tiles and block masks of structural masks, which read no tensor, are kept from step to step: the
program and the sizes alone tell what such a mask does, so a kept one is never stale. A mask that
reads a tensor, an offset or a position is never kept: its tensor may change in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.empty_rows import empty_rows
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.bind import BoundMask
from maskc.binding.call import CallSpec
from maskc.blocks.auto_size import choices, work
from maskc.blocks.key_ranges import with_key_ranges
from maskc.blocks.moved_keys import tiles_by_blocks_of_keys
from maskc.ir.nodes import Expr, inputs
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower import flex
from maskc.lower.codegen.mods import MaskMod, mask_mod
from maskc.lower.tensor_cache import versions

KEPT = 32
"""How many structural masks are kept."""

LARGEST = 2**22
"""Masks of more tiles than this are not kept: their tables are large."""


class TileCounts(NamedTuple):
    """How many tiles of a block mask are full, partial and empty; ``decided`` tells by what."""

    full: int
    partial: int
    empty: int
    decided: Mapping[str, int]


class MaskBlocks:
    """What is worked out from the tensors of a mask; it holds until one is changed in place."""

    def __init__(self, mask: BoundMask, spec: CallSpec, built: BlockMask | None = None) -> None:
        self._mask = mask
        self._spec = spec
        self._versions = versions(mask.domain.tensors.values())
        if built is not None:
            self.__dict__["block_mask"] = built

    @property
    def is_fresh(self) -> bool:
        """Whether the tensors of the mask are as they were."""
        return versions(self._mask.domain.tensors.values()) == self._versions

    @cached_property
    def mask(self) -> BoundMask:
        """The mask, with id comparisons as key ranges where possible."""
        return with_key_ranges(self._mask)

    @cached_property
    def mask_mod(self) -> MaskMod:
        """The mask as a function of torch's indices."""
        return mask_mod(self.mask.expr, self.mask.domain)

    @cached_property
    def tile_map(self) -> TileMap:
        """Which tiles are full and which are partial."""
        block = self._spec.block_size
        ordered = None if block is None else tiles_by_blocks_of_keys(self._mask, block)
        return ordered or tiles_of(self.mask, block)

    @cached_property
    def counts(self) -> TileCounts:
        """How many tiles there are of each kind."""
        tiles = self.tile_map
        decided = {step.value: count for step, count in tiles.decided.items()}
        return TileCounts(tiles.full_count, tiles.partial_count, tiles.empty_count, decided)

    @cached_property
    def block_mask(self) -> BlockMask:
        """The block mask."""
        return block_mask_of(self.mask, self.tile_map, self._spec.compact)

    @property
    def built(self) -> BlockMask | None:
        """The block mask if it has been built."""
        return self.__dict__.get("block_mask")

    @cached_property
    def empty_rows(self) -> Tensor:
        """Which query rows have no key, bool ``[B | 1, H | 1, Q]``."""
        return empty_rows(self.mask.expr, self.mask.domain, self.tile_map)


def tiles_of(mask: BoundMask, block: tuple[int, int] | None) -> TileMap:
    """Return the tiles of a bound mask, of the size that suits it if ``block`` is None."""
    if block is None:
        return min((tiles_of(mask, size) for size in choices(mask.domain)), key=work)
    if not _keeps(mask, block):
        return tile_map(mask.expr, mask.domain, block)
    return _tiles(mask.expr, tuple(mask.domain.sizes.items()), mask.domain.device, block)


def block_mask_of(mask: BoundMask, tiles: TileMap, compact: bool) -> BlockMask:
    """Return the block mask of a bound mask from its tiles."""
    domain, block = mask.domain, tiles.grid.block
    if not _keeps(mask, block):
        return flex.block_mask(mask.expr, domain, tiles, compact)
    return _block_mask(mask.expr, tuple(domain.sizes.items()), domain.device, block, compact)


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
