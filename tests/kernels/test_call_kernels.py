"""Calls of all kinds as kernels of a GPU: shapes, dtypes, blocks, offsets, captured tables."""

from typing import Any

import pytest
import torch
from agreement import assert_forward_agrees, normal_qkv

from maskc import Bound, LoweringError, compile_mask
from maskc.lower.codegen.mods import MaskMod

S = 160
"""Tokens: two blocks of 128, the second ragged."""
DOC = torch.tensor([0] * 50 + [1] * 30 + [2] * 80)


def bound_to(text: str, q_len: int = S, **keywords: Any) -> Bound:
    return compile_mask(text).bind(q_len=q_len, **{"num_heads": 2, **keywords})


@pytest.mark.parametrize(
    "block", [16, 32, 48, 64, 96, 128, 256, (64, 128), (128, 32), (32, 96)], ids=str
)
@pytest.mark.parametrize("capability", [80, 90])
def test_block_sizes(block: int | tuple[int, int], capability: int) -> None:
    bound = bound_to("causal & window(50); score = softcap(score, 3)", block_size=block)
    assert_forward_agrees(bound, capability=capability)


@pytest.mark.parametrize("block", [8, 24, (128, 40)], ids=str)
def test_blocks_that_no_tile_divides_are_refused(block: int | tuple[int, int]) -> None:
    with pytest.raises(LoweringError, match=r"M514.*multiples of 16"):
        assert_forward_agrees(bound_to("causal", block_size=block))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("text", ["causal & window(50)", "causal; score = softcap(score, 3)"])
def test_half_precision(dtype: torch.dtype, text: str) -> None:
    bound = bound_to(text)
    assert_forward_agrees(bound, qkv=normal_qkv(bound, 32, dtype))


@pytest.mark.parametrize("width", [16, 40, 64, 128])
def test_widths(width: int) -> None:
    bound = bound_to("causal & window(50)", block_size=64)
    assert_forward_agrees(bound, qkv=normal_qkv(bound, width))


@pytest.mark.parametrize("length", [1, 15, 127, 129, 200])
def test_ragged_lengths(length: int) -> None:
    assert_forward_agrees(bound_to("causal & window(50) | k < 3", q_len=length, block_size=64))


def test_a_mask_by_batch() -> None:
    doc = torch.stack([DOC, DOC.flip(0), torch.zeros_like(DOC)])
    assert_forward_agrees(bound_to("causal & same_doc", batch_size=3, doc=doc, block_size=32))


def test_a_mask_by_head() -> None:
    text = "input width: int; causal & q - k < width[head]"
    width = torch.tensor([5, 40, 90, 200])
    assert_forward_agrees(bound_to(text, num_heads=4, width=width, block_size=32))


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_grouped_queries(kv_heads: int) -> None:
    text = "input width: int; causal & q - k < width[head]; score = score + 0.1 * kv_head"
    width = torch.tensor([5, 40, 90, 200])
    bound = bound_to(text, num_heads=4, num_kv_heads=kv_heads, width=width)
    assert_forward_agrees(bound)


@pytest.mark.parametrize("q_len", [1, 3, 20])
@pytest.mark.parametrize("kv_heads", [1, 4])
@pytest.mark.parametrize("block", [64, 128])
def test_decoding(q_len: int, kv_heads: int, block: int) -> None:
    bound = bound_to(
        "causal & window(100); score = score - 0.1 * (head + 1) * (q - k)",
        q_len=q_len,
        kv_len=200,
        q_offset=180 - q_len,
        num_heads=4,
        num_kv_heads=kv_heads,
        block_size=block,
    )
    assert_forward_agrees(bound)


def test_queries_of_one_group_fill_more_than_a_block() -> None:
    bound = bound_to("causal_lower_right", 100, kv_len=S, num_heads=8, num_kv_heads=2)
    assert_forward_agrees(bound)


TABLES = {
    "bool": ("input t: bool; causal & t[q, k]", torch.rand(S, S) < 0.5),
    "int": ("input t: int; causal; score = score + 0.1 * t[head, k]", torch.arange(2 * S) % 7),
    "float": ("input t: float; score = score + t[head, q, k]", torch.randn(2, S, S)),
    "scalar": ("input t: float; causal; score = score * t", torch.tensor(0.3)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_captured_tables(kind: str) -> None:
    text, table = TABLES[kind]
    table = table.view(2, S) if kind == "int" else table
    assert_forward_agrees(bound_to(text, t=table))


def test_rows_without_keys() -> None:
    bound = bound_to("causal & k > 40", block_size=32)
    assert bound.empty_rows.any()
    assert_forward_agrees(bound)


@pytest.mark.parametrize("policy", ["all", "nan"])
def test_policies_of_empty_rows(policy: str) -> None:
    program = compile_mask("causal & k > 40", empty_rows=policy)
    assert_forward_agrees(program.bind(q_len=S, block_size=32))


@pytest.mark.parametrize("compact", [False, True])
def test_compact_tables(compact: bool) -> None:
    bound = bound_to("causal & window(30)", q_len=300, compact=compact, block_size=32)
    assert_forward_agrees(bound)


def test_documents_as_ranges_of_keys() -> None:
    bound = bound_to("causal & same_doc", doc=DOC, block_size=32)
    assert bound.has_key_ranges
    assert_forward_agrees(bound)


def test_shuffled_documents_as_ids() -> None:
    doc = DOC[torch.randperm(S, generator=torch.Generator().manual_seed(3))]
    bound = bound_to("causal & same_doc", doc=doc, block_size=32)
    assert not bound.has_key_ranges
    assert_forward_agrees(bound)


def test_positions() -> None:
    order = torch.randperm(S, generator=torch.Generator().manual_seed(4))
    bound = bound_to("causal & window(40)", q_positions=order, kv_positions=order.flip(0))
    assert_forward_agrees(bound)


def test_an_epilogue() -> None:
    text = "input sink: float; causal & window(30); out = out * sigmoid(lse - sink[head])"
    assert_forward_agrees(bound_to(text, sink=torch.randn(2)))


@pytest.mark.parametrize("slipped", [-1, 1])
def test_a_window_off_by_one_is_caught(slipped: int) -> None:
    from attend import gpu_args

    bound = bound_to("causal & window(50)")
    planted = gpu_args(bound_to(f"causal & window({50 + slipped})"))
    with pytest.raises(AssertionError):
        assert_forward_agrees(bound, args=planted)


def test_a_full_tile_that_is_none_is_caught() -> None:
    from attend import gpu_args

    bound = bound_to("causal", block_size=32)
    args = gpu_args(bound)
    blocks = args["block_mask"]
    blocks.full_kv_num_blocks[..., 2] += 1  # the diagonal tile, taken without its mask too
    blocks.full_kv_indices[..., 2, 2] = 2
    assert isinstance(blocks.mask_mod, MaskMod)
    with pytest.raises(AssertionError):
        assert_forward_agrees(bound, args=args)
