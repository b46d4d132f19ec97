"""The tiles of FlexAttention's kernels on a GPU, which the blocks of a block mask are made of.

A kernel works in tiles of its own, up to 128 queries by 128 keys, chosen by width and dtype. A
block mask of other blocks fails when the kernel is compiled, unless ``kernel_options`` name tiles
that divide them. Established with inductor's kernels of torch 2.13, run without a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

import torch

from maskc.errors import LoweringError
from maskc.ir.in_trace import in_trace
from maskc.ir.types import Sz

Block = tuple[int, int]

ANY = 128
"""Blocks of a multiple of this suit every kernel as it is."""

SMALLEST = 16
"""The smallest side of a product on tensor cores."""

ROOM = {512: (64, 32)}
LEAST_ROOM = (32, 16)
"""The largest tiles by the bytes of a row of q, so that they fit the shared memory of a GPU."""

DECODES_BELOW = 128
"""With fewer queries than this torch takes its kernel for decoding."""
DECODED_KEYS = 64
"""Keys of a tile of that kernel."""


def kernel_options(block: Block, sizes: Mapping[Sz, int], row_bytes: int = 512) -> dict[str, Any]:
    """Return the ``kernel_options`` that a GPU needs for blocks of this size; most often none.

    Args:
        block: queries and keys of a block.
        sizes: of the call.
        row_bytes: the bytes of a row of q; 512 holds 128 floats or 256 halves.

    Raises:
        LoweringError: no tile of a kernel fits the blocks.

    """
    check_tiles(block)
    high, wide = next((tile for most, tile in ROOM.items() if row_bytes <= most), LEAST_ROOM)
    options: dict[str, Any] = {}
    if sizes[Sz.Q_LEN] < DECODES_BELOW:
        rows = _rows_decoded(sizes)
        if _decodes(block, rows):
            high = rows
        else:
            options["BACKEND"] = "TRITON"
    if block[0] % ANY:
        options["BLOCK_M"] = gcd(block[0], high)
    if block[1] % ANY:
        options["BLOCK_N"] = gcd(block[1], wide)
    return options


def check_tiles(block: Block) -> None:
    """Refuse blocks that no tile of a kernel divides."""
    if any(side % SMALLEST for side in block):
        raise LoweringError(
            "M514",
            f"the kernels of a GPU need blocks of multiples of {SMALLEST}, "
            f"found block_size={block}",
            help=f"bind with block_size={ANY}, or use the sdpa backend",
        )


def check_backward(block: Block, width: int, dtype: torch.dtype) -> None:
    """Refuse blocks that the backward kernel's tiles do not divide, which no option changes."""
    fits = not any(side % ANY for side in block)
    if fits or in_trace() or _has_backward(block, width, dtype):
        return
    raise LoweringError(
        "M515",
        f"the backward kernel of this GPU has tiles that block_size={block} is not made of",
        help=f"bind with block_size={ANY}, or use the sdpa backend",
    )


def _has_backward(block: Block, width: int, dtype: torch.dtype) -> bool:
    """Tell whether inductor has tiles for a backward; without its table, only ``ANY`` is sure."""
    from torch._inductor.virtualized import V

    configs = getattr(V.choices, "get_flex_attention_bwd_configs", None)
    return configs is not None and any(
        not (block[0] % tile.block_m1 or block[0] % tile.block_m2)
        and not (block[1] % tile.block_n1 or block[1] % tile.block_n2)
        for tile in configs(width, dtype, "cuda")
    )


def _rows_decoded(sizes: Mapping[Sz, int]) -> int:
    """Return the rows of a tile that holds the queries of all heads that share keys."""
    rows = sizes[Sz.Q_LEN] * sizes[Sz.NUM_HEADS] // sizes[Sz.NUM_KV_HEADS]
    return max(SMALLEST, 1 << (rows - 1).bit_length())


def _decodes(block: Block, rows: int) -> bool:
    """Tell whether torch's kernel for decoding takes blocks of this size.

    They must be made of its tiles: ``rows`` queries by 64 keys, or all keys of a smaller block.
    Torch takes this kernel for any short call without asking, and fails where they are not.
    """
    return block[0] % rows == 0 and block[1] % min(block[1], DECODED_KEYS) == 0
