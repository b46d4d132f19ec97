"""Kinds of tiles, against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maskc.view.tiles import Tile, tiles

masks = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
blocks = st.integers(1, 14)


@given(masks, blocks, blocks)
def test_a_tile_is_what_its_elements_are(mask: np.ndarray, block_q: int, block_k: int) -> None:
    kinds = tiles(mask, block_q, block_k)
    rows, columns = -(-mask.shape[0] // block_q), -(-mask.shape[1] // block_k)
    assert kinds.shape == (rows, columns)
    for row in range(rows):
        for column in range(columns):
            part = mask[
                row * block_q : (row + 1) * block_q, column * block_k : (column + 1) * block_k
            ]
            expected = Tile.FULL if part.all() else Tile.PARTIAL if part.any() else Tile.EMPTY
            assert kinds[row, column] == expected
