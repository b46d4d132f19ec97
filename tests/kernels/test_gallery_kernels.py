"""Every piece of the gallery, and with it every example program, as a kernel of a GPU."""

import sys
from pathlib import Path

import pytest
from agreement import assert_forward_agrees

from maskc import compile_mask

sys.path.append(str(Path(__file__).parents[2] / "examples"))
from pieces import SECTIONS, Piece

PIECES = [piece for section in SECTIONS.values() for piece in section]
BLOCK = 32
"""Pieces are small: blocks of 32 give them several rows and columns of tiles."""


@pytest.mark.parametrize("piece", PIECES, ids=[piece.slug for piece in PIECES])
def test_a_piece(piece: Piece) -> None:
    bound = compile_mask(piece.text, **piece.constants).bind(
        q_len=piece.q_len,
        kv_len=piece.kv_len,
        num_heads=piece.num_heads,
        block_size=BLOCK,
        **piece.bind,
        **piece.inputs,
    )
    assert_forward_agrees(bound)
