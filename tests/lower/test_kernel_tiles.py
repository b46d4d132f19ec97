"""The tiles that kernels of a GPU are told to use; `make triton` compiles them."""

from math import gcd

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskc import LoweringError
from maskc.ir.types import Sz
from maskc.lower.kernel_tiles import check_backward, kernel_options

sides = st.integers(1, 40).map(lambda n: 16 * n)


def sizes(q_len: int, heads: int = 1, kv_heads: int = 1) -> dict[Sz, int]:
    return {Sz.Q_LEN: q_len, Sz.NUM_HEADS: heads, Sz.NUM_KV_HEADS: kv_heads}


@given(high=sides, wide=sides, q_len=st.integers(1, 500), group=st.integers(1, 8))
def test_tiles_divide_the_blocks(high: int, wide: int, q_len: int, group: int) -> None:
    options = kernel_options((high, wide), sizes(q_len, 2 * group, 2))
    for side, name in ((high, "BLOCK_M"), (wide, "BLOCK_N")):
        tile = options.get(name, 128)
        assert side % tile == 0
        assert tile >= 16
        assert gcd(tile, 256) == tile, "tiles are powers of two"


@pytest.mark.parametrize("block", [(128, 128), (256, 128), (384, 640)])
def test_multiples_of_the_largest_tile_need_no_options(block: tuple[int, int]) -> None:
    assert kernel_options(block, sizes(4096)) == {}
    assert kernel_options(block, sizes(1)) == {}


def test_a_wide_row_gets_smaller_tiles() -> None:
    wide = kernel_options((64, 64), sizes(4096), row_bytes=1024)
    assert (wide["BLOCK_M"], wide["BLOCK_N"]) == (32, 16)


def test_grouped_queries_that_fill_more_than_a_block_are_not_decoded() -> None:
    assert kernel_options((128, 128), sizes(100, 8, 2)) == {"BACKEND": "TRITON"}
    assert kernel_options((128, 128), sizes(20, 8, 2)) == {}


@pytest.mark.parametrize("block", [(8, 128), (128, 24)])
def test_blocks_that_no_tile_divides(block: tuple[int, int]) -> None:
    with pytest.raises(LoweringError) as error:
        kernel_options(block, sizes(256))
    assert str(error.value) == (
        "error[M514]: the kernels of a GPU need blocks of multiples of 16, "
        f"found block_size={block}\n"
        "    = help: bind with block_size=128, or use the sdpa backend"
    )


def test_the_backward_kernel_in_single_precision_has_small_tiles(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *args: (9, 0))
    check_backward((64, 32), 64, torch.float32)
    check_backward((128, 256), 64, torch.bfloat16)


def test_the_backward_kernel_in_half_precision_needs_large_blocks(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *args: (9, 0))
    with pytest.raises(LoweringError) as error:
        check_backward((64, 64), 64, torch.bfloat16)
    assert str(error.value) == (
        "error[M515]: the backward kernel of this GPU has tiles that block_size=(64, 64) is not "
        "made of\n    = help: bind with block_size=128, or use the sdpa backend"
    )
