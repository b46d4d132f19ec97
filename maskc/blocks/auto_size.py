"""``block_size="auto"``: the tiles in which a kernel does least.

Small tiles follow the mask closely, large ones cost less each. Compiled FlexAttention on CPU takes
the same time a pair in tiles of 32 and of 128, and 0.3 us a tile besides (torch 2.13, width 64).
On other devices the kernel has tiles of its own, which those of the block mask must be made of;
there it stays at 128.
"""

from __future__ import annotations

from maskc.analysis.tiles.tile_map import TileMap
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain

LARGEST = 128
SMALLER = (64, 32)
UNSEEN = (LARGEST, LARGEST)
"""The block size within a trace, which cannot look into tensors."""

MOST_TILES = 2**20
"""Of more tiles than this a matrix is not made: their tables take 16 bytes each."""

PAIRS_A_TILE = 50
"""What a tile costs besides its pairs, in pairs."""


def choices(domain: Domain) -> list[tuple[int, int]]:
    """Return the block sizes that may be best for a call, the largest first."""
    smaller = SMALLER if domain.device.type == "cpu" else ()
    lengths = domain.sizes[Sz.Q_LEN], domain.sizes[Sz.KV_LEN]
    fitting = [n for n in smaller if (lengths[0] // n) * (lengths[1] // n) <= MOST_TILES]
    return [(n, n) for n in (LARGEST, *fitting)]


def work(tiles: TileMap) -> int:
    """Return what a kernel does for these tiles, in pairs."""
    high, wide = tiles.grid.block
    return (tiles.full_count + tiles.partial_count) * (high * wide + PAIRS_A_TILE)
