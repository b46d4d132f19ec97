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

from maskc import log
from maskc.analysis.bands import Parts, bands_of_ranges, bands_of_tiles, from_text, to_text
from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.empty_rows import empty_rows
from maskc.analysis.tiles.grid import grid_of
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.bind import BoundMask
from maskc.binding.call import CallSpec
from maskc.blocks.auto_size import choices, work
from maskc.blocks.key_ranges import RangedMask, with_key_ranges
from maskc.blocks.moved_keys import tiles_by_blocks_of_keys
from maskc.errors import BindError, LoweringError
from maskc.ir.nodes import Expr, inputs
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower import flex
from maskc.lower.codegen.mods import MaskMod, mask_mod
from maskc.lower.constant_in_trace import constant_in_trace
from maskc.lower.tensor_cache import versions

KEPT = 32
"""How many structural masks are kept."""

LARGEST = 2**22
"""Masks of more tiles than this are not kept: their tables are large."""


MOST = 2**30
"""A table of more tiles than this takes more than 4 GiB."""


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
        self._bands: dict[bool, Parts] = {}
        self._band_texts: dict[bool, str] = {}
        self._is_structural = not inputs(mask.expr)
        if built is not None:
            self.__dict__["block_mask"] = built

    @property
    def is_fresh(self) -> bool:
        """Whether the tensors of the mask are as they were."""
        return versions(self._mask.domain.tensors.values()) == self._versions

    @cached_property
    def ranged(self) -> RangedMask:
        """The mask, with id comparisons as key ranges where possible, and the keys of its rows."""
        return with_key_ranges(self._mask)

    @property
    def mask(self) -> BoundMask:
        """The mask, with id comparisons as key ranges where possible."""
        return self.ranged.mask

    @cached_property
    def mask_mod(self) -> MaskMod:
        """The mask as a function of torch's indices."""
        return mask_mod(self.mask.expr, self.mask.domain)

    @cached_property
    def tile_map(self) -> TileMap:
        """Which tiles are full and which are partial."""
        block = self._spec.block_size
        begin = log.start()
        ordered = None if block is None else tiles_by_blocks_of_keys(self._mask, block)
        tiles = ordered or tiles_of(self.ranged, block)
        if begin is not None:
            steps = {step.value: count for step, count in tiles.decided.items() if count}
            counts = tiles.full_count, tiles.partial_count, tiles.empty_count
            log.done(begin, "tiles: %s full, %s partial, %s empty, decided by %s", *counts, steps)
        return tiles

    @cached_property
    def key_ranges(self) -> KeyRanges | None:
        """The keys of each query row, if they are a few ranges."""
        known: TileMap | None = self.__dict__.get("tile_map")
        return key_ranges(self._mask.expr, self._mask.domain) if known is None else known.ranges

    @cached_property
    def common_keys(self) -> range | None:
        """The keys of every query row, where all rows have the same, side by side; else None."""
        ranges = self.key_ranges
        if ranges is None or ranges.ends.shape[1] != 1:
            return None
        first, stop = (int(end.reshape(-1)[0]) for end in ranges.ends)
        same = (ranges.first == first).all() and (ranges.stop == stop).all()
        return range(first, stop) if same else None

    def bands(self, long: bool) -> Parts:
        """Return the bands of query rows; see ``bands_of_ranges``."""
        if long not in self._bands:
            ranges, domain = self.key_ranges, self._mask.domain
            self._bands[long] = (
                bands_of_tiles(self.tile_map, domain, long)
                if ranges is None
                else bands_of_ranges(ranges, domain, long)
            )
            self._band_texts[long] = to_text(self._bands[long])
        return self._bands[long]

    def traced_bands(self, long: bool) -> Parts:
        """Return the bands as constants of a trace.

        Raises:
            LoweringError: none were made before it.

        """
        text = self._band_texts.get(long)
        if text is None:
            _refuse_trace()
        return from_text(text or "")

    def has_lasting_bands(self, long: bool) -> bool:
        """Tell whether the bands are made, and are those of every binding of these sizes."""
        return self._is_structural and long in self._band_texts

    @cached_property
    def counts(self) -> TileCounts:
        """How many tiles there are of each kind."""
        tiles = self.tile_map
        decided = {step.value: count for step, count in tiles.decided.items()}
        return TileCounts(tiles.full_count, tiles.partial_count, tiles.empty_count, decided)

    @cached_property
    def block_mask(self) -> BlockMask:
        """The block mask."""
        tiles, begin = self.tile_map, log.start()
        made = block_mask_of(self.mask, tiles, self._spec)
        log.done(begin, "block tables in blocks of %s", tiles.grid.block)
        return made

    @property
    def built(self) -> BlockMask | None:
        """The block mask if it has been built."""
        return self.__dict__.get("block_mask")

    @cached_property
    def empty_rows(self) -> Tensor:
        """Which query rows have no key, bool ``[B | 1, H | 1, Q]``."""
        return empty_rows(self.mask.expr, self.mask.domain, self.tile_map)


def _refuse() -> None:
    raise LoweringError(
        "M517",
        "a trace needs the bands of a mask before it starts, and they are not made",
        help="call `bound.bands()` before, outside of what is compiled, or use sdpa",
    )


_refuse_trace = constant_in_trace(_refuse)
"""Dynamo runs it, so its error comes through."""


def forget() -> None:
    """Drop what is kept of masks from step to step: tiles, ranges of keys, block masks.

    What was compiled stays: of a program its generated code, and of a program at certain sizes what
    follows from these alone and is none of the above: the checked call, the mask over rows, and
    what the sizes leave of it.
    """
    _tiles.cache_clear()
    _block_mask.cache_clear()


def tiles_of(ranged: RangedMask, block: tuple[int, int] | None) -> TileMap:
    """Return the tiles of a bound mask, of the size that suits it if ``block`` is None."""
    mask, keys = ranged
    if block is None:
        return min((tiles_of(ranged, size) for size in choices(mask.domain)), key=work)
    _check_count(mask, block)
    if not _keeps(mask, block):
        return tile_map(mask.expr, mask.domain, block, keys)
    return _tiles(mask.expr, tuple(mask.domain.sizes.items()), mask.domain.device, block)


def _check_count(mask: BoundMask, block: tuple[int, int]) -> None:
    count = grid_of(mask.expr, mask.domain, block).count
    if count > MOST:
        message = f"the block mask has {count} tiles of {block[0]} x {block[1]}, at most {MOST} fit"
        help = "take larger blocks (`block_size=1024`), or split the sequence"
        raise BindError("M436", message, mask.expr.span, help)


def block_mask_of(mask: BoundMask, tiles: TileMap, spec: CallSpec) -> BlockMask:
    """Return the block mask of a bound mask from its tiles."""
    domain, block, form = mask.domain, tiles.grid.block, (spec.compact, spec.backward)
    if not _keeps(mask, block):
        return flex.block_mask(mask.expr, domain, tiles, *form)
    return _block_mask(mask.expr, tuple(domain.sizes.items()), domain.device, block, *form)


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
    backward: bool,
) -> BlockMask:
    tiles = _tiles(mask, sizes, device, block)
    return flex.block_mask(mask, Domain(dict(sizes), {}, device), tiles, compact, backward)
