"""A bound program as a notebook shows it: its tiles as a picture, its sizes and its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.call import CallSpec
from maskc.blocks.mask_blocks import MaskBlocks
from maskc.compiled import Compiled
from maskc.explain.notebook import beside
from maskc.explain.thumbnail import thumbnail
from maskc.ir.types import Sz
from maskc.ir.vectorize import Window, dense

MOST_ELEMENTS = 256
"""Tokens along an edge up to which a picture shows each pair; larger ones show tiles."""

PARTIAL = 0.5
"""The shade of a tile of which some pairs attend."""


def binding_html(
    program: Compiled, spec: CallSpec, given: Mapping[str, Any], blocks: MaskBlocks
) -> str:
    """Return a bound program as HTML; the picture is of the first batch and head."""
    counts = blocks.counts
    tiles = f"{counts.full} full, {counts.partial} partial, {counts.empty} empty tiles"
    picture = thumbnail(_shares(spec, blocks), f"the mask of the first batch and head: {tiles}")
    return beside(picture, program.source, [sizes_line(spec), tiles, *input_lines(given)])


def sizes_line(spec: CallSpec) -> str:
    """Return the sizes of a call in a line: ``2 x 8 heads, 256 queries, 256 keys, cpu``."""
    sizes = spec.sizes
    heads = f"batch {sizes[Sz.BATCH_SIZE]}, {sizes[Sz.NUM_HEADS]} heads"
    if spec.group > 1:
        heads += f" over {sizes[Sz.NUM_KV_HEADS]}"
    return f"{heads}, {sizes[Sz.Q_LEN]} queries, {sizes[Sz.KV_LEN]} keys, {spec.device}"


def input_lines(given: Mapping[str, Any]) -> list[str]:
    """Return each input with its shape."""
    return [f"{name}: {_shape(value)}" for name, value in given.items()]


def _shape(value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(_shape, value))
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}" if shape is None else f"{value.dtype} {list(shape)}"


def _shares(spec: CallSpec, blocks: MaskBlocks) -> NDArray[np.float64]:
    rows, columns = spec.sizes[Sz.Q_LEN], spec.sizes[Sz.KV_LEN]
    if max(rows, columns) > MOST_ELEMENTS:
        return _tile_shares(blocks.tile_map)
    window = Window(range(1), range(1), range(rows), (range(columns),))
    mask = dense(blocks.mask.expr, blocks.mask.domain, window=window)
    shares: NDArray[np.float64] = mask[0, 0].expand(rows, columns).double().numpy(force=True)
    return shares


def _tile_shares(tiles: TileMap) -> NDArray[np.float64]:
    """Return the tiles of the first batch and head: 1 for full, a half for partial ones."""
    high, wide = tiles.grid.blocks
    steps = np.zeros((high, wide + 1))
    for runs, share in ((tiles.full, 1.0), (tiles.partial, PARTIAL)):
        first = runs.row < high
        np.add.at(steps, (runs.row[first], runs.first[first]), share)
        np.add.at(steps, (runs.row[first], runs.stop[first]), -share)
    shares: NDArray[np.float64] = steps.cumsum(1)[:, :wide]
    return shares
