"""A bound mask as FlexAttention takes it: tiles, tables and code, made when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from maskc.analysis.tiles.empty_rows import empty_rows
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.bind import BoundMask
from maskc.binding.call import CallSpec
from maskc.blocks import structural
from maskc.blocks.key_ranges import with_key_ranges
from maskc.lower.codegen.mods import MaskMod, mask_mod
from maskc.lower.tensor_cache import versions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.attention.flex_attention import BlockMask


class TileCounts(NamedTuple):
    """How many tiles of a block mask are full, partial and empty; ``decided`` tells by what."""

    full: int
    partial: int
    empty: int
    decided: Mapping[str, int]


class MaskBlocks:
    """What is worked out from the tensors of a mask; it holds until one is changed in place."""

    def __init__(self, mask: BoundMask, request: CallSpec) -> None:
        self._mask = mask
        self._request = request
        self._versions = versions(mask.domain.tensors.values())

    @property
    def is_fresh(self) -> bool:
        """Whether the tensors of the mask are as they were."""
        return versions(self._mask.domain.tensors.values()) == self._versions

    @cached_property
    def mask(self) -> BoundMask:
        """The mask, ranges of keys in the place of comparisons of ids where these allow it."""
        return with_key_ranges(self._mask)

    @cached_property
    def mask_mod(self) -> MaskMod:
        """The mask as a function of torch's indices."""
        return mask_mod(self.mask.expr, self.mask.domain)

    @cached_property
    def tile_map(self) -> TileMap:
        """Which tiles are full and which are partial."""
        return structural.tiles_of(self.mask, self._request.block_size)

    @cached_property
    def counts(self) -> TileCounts:
        """How many tiles there are of each kind."""
        tiles = self.tile_map
        decided = {step.value: count for step, count in tiles.decided.items()}
        return TileCounts(tiles.full_count, tiles.partial_count, tiles.empty_count, decided)

    @cached_property
    def block_mask(self) -> BlockMask:
        """The block mask."""
        return structural.block_mask_of(self.mask, self.tile_map, self._request.compact)

    @property
    def built(self) -> BlockMask | None:
        """The block mask if it has been built."""
        return self.__dict__.get("block_mask")

    @cached_property
    def empty_rows(self) -> Tensor:
        """Which query rows have no key, bool ``[B | 1, H | 1, Q]``."""
        return empty_rows(self.mask.expr, self.mask.domain, self.tile_map)

    def with_built(self, block_mask: BlockMask | None) -> MaskBlocks:
        """Return this with a block mask that was built elsewhere, if there is one."""
        if block_mask is not None:
            self.__dict__["block_mask"] = block_mask
        return self
