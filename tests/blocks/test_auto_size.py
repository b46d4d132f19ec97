"""``block_size="auto"`` takes the tiles in which a kernel does least."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskc import compile_mask
from maskc.blocks import auto_size as block_sizes

DOC = torch.arange(4096) // 150


def pairs(text: str, block: int, length: int) -> int:
    bound = compile_mask(text).bind(q_len=length, block_size=block, doc=DOC)
    tiles = bound.tiles
    return (tiles.full + tiles.partial) * (block**2 + block_sizes.PAIRS_A_TILE)


@given(st.integers(1, 4096), st.sampled_from(["same_doc", "causal & same_doc", "same_doc & k < 9"]))
def test_least(length: int, text: str) -> None:
    bound = compile_mask(text).bind(q_len=length, block_size="auto", doc=DOC)
    assert bound.block_mask is not None
    chosen = bound.block_mask.BLOCK_SIZE[0]
    assert pairs(text, chosen, length) == min(pairs(text, n, length) for n in (32, 64, 128))


@pytest.mark.parametrize(
    ("text", "chosen"), [("same_doc", 32), ("k < 2048", 128), ("chunked(64)", 64)]
)
def test_chosen(text: str, chosen: int) -> None:
    program = compile_mask(text)
    inputs = {"doc": DOC} if program.inputs else {}
    bound = program.bind(q_len=4096, block_size="auto", **inputs)
    assert bound.block_mask is not None
    assert (chosen, chosen) == bound.block_mask.BLOCK_SIZE
    assert f"of {chosen} x {chosen}" in bound.explain()


def test_long_calls_get_no_small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sizes, "MOST_TILES", 4096)
    bound = compile_mask("same_doc").bind(q_len=4096, block_size="auto", doc=DOC)
    assert bound.block_mask is not None
    assert bound.block_mask.BLOCK_SIZE == (64, 64)
