"""The tables are torch's, for masks from the literature and for drawn ones."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from environments import environments
from hypothesis import given, settings
from hypothesis import strategies as st
from literature import LITERATURE, Draw, Mask
from profiles import examples
from row_programs import dense, domain_of, row_mask, rows_of_case
from strategies import masks
from torch.nn.attention import flex_attention

from maskc.analysis.tables import block_tables as written
from maskc.analysis.tables import compact
from maskc.analysis.tables.block_tables import Tables, block_tables
from maskc.analysis.tiles import classify as tiles
from maskc.analysis.tiles import refine
from maskc.analysis.tiles.classify import searched, tile_map
from maskc.analysis.tiles.grid import grid_of
from maskc.ir.nodes import Expr
from maskc.ir.vectorize import Domain

SIZES = [(192, 192), (129, 67), (1, 150), (200, 7)]
BLOCKS = [(16, 16), (128, 128), (32, 48), (5, 8)]


@pytest.mark.parametrize("mask", LITERATURE, ids=lambda mask: mask.name)
def test_literature(mask: Mask) -> None:
    for q_len, kv_len in SIZES:
        draw = Draw(q_len, kv_len, batch=2, heads=3)
        domain = domain_of(q_len, kv_len, 2, 3, **mask.inputs(draw))
        for block in BLOCKS:
            assert_tables(row_mask(mask.text, domain), domain, block)


@settings(max_examples=examples(100))
@given(
    st.data(),
    masks(),
    st.tuples(*[st.sampled_from([1, 2, 3, 4, 5, 8, 16])] * 2),
    st.booleans(),
)
def test_drawn(data: st.DataObject, mask: Expr, block: tuple[int, int], positions: bool) -> None:
    case = data.draw(environments(mask, positions=positions, pairs=True))
    assert_tables(*rows_of_case(mask, case), block)


def test_literature_is_long_enough() -> None:
    assert len(LITERATURE) >= 40
    assert len({mask.name for mask in LITERATURE}) == len(LITERATURE)


def test_torch_makes_these_tables_itself() -> None:
    """What ``expected`` takes apart is what ``create_block_mask`` does as a whole."""
    domain = domain_of(200, 130, doc=torch.arange(200) // 37)
    mask = row_mask("causal & same_doc | sinks(3)", domain)
    true = dense(mask, domain, 1, 1)[0, 0]
    theirs = flex_attention.create_block_mask(
        lambda b, h, q, k: true[q, k], 1, 1, 200, 130, device="cpu", BLOCK_SIZE=(64, 32)
    )
    assert_same(block_tables(tile_map(mask, domain, (64, 32))), theirs)


@pytest.mark.parametrize(("q_len", "kv_len"), [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("compact", [False, True])
def test_nothing_to_attend(q_len: int, kv_len: int, compact: bool) -> None:
    domain = domain_of(q_len, kv_len)
    found = tile_map(row_mask("causal", domain), domain, (4, 4))
    tables = block_tables(found, compact)
    assert tables.kv_indices.shape == (1, 1, -(-q_len // 4), -(-kv_len // 4))
    assert tables.full_q_indices.shape == (1, 1, -(-kv_len // 4), -(-q_len // 4))
    assert found.sparsity == 0.0


def assert_tables(mask: Expr, domain: Domain, block: tuple[int, int]) -> None:
    grid = grid_of(mask, domain, block)
    theirs = expected(mask, domain, block, grid.batch, grid.heads)
    for found in (tile_map(mask, domain, block), searched(mask, domain, grid)):
        assert sum(found.decided.values()) == grid.count
        for shared, small in ((False, written.SMALL), (False, 0), (True, 0)):
            with patch.object(written, "SMALL", small):
                assert_same(block_tables(found, shared), theirs, in_order=not shared)


def expected(
    mask: Expr, domain: Domain, block: tuple[int, int], batch: int, heads: int
) -> flex_attention.BlockMask:
    true = dense(mask, domain, batch, heads)
    kinds = flex_attention._convert_mask_to_block_mask(true, *block, separate_full_blocks=True)
    lengths = (true.shape[-2], true.shape[-1])
    return flex_attention._create_sparse_block_from_block_mask(kinds, None, lengths, *block)


def assert_same(ours: Tables, theirs: flex_attention.BlockMask, in_order: bool = True) -> None:
    for counts, indices in zip(Tables._fields[::2], Tables._fields[1::2], strict=True):
        count, expected_count = getattr(ours, counts), getattr(theirs, counts)
        index, expected_index = getattr(ours, indices), getattr(theirs, indices)
        assert count.dtype == expected_count.dtype == index.dtype == expected_index.dtype
        assert torch.equal(count, expected_count), counts
        assert index.shape == expected_index.shape
        live = torch.arange(index.shape[-1]) < count[..., None]
        listed = index.where(live, index.shape[-1])
        listed = listed if in_order else listed.sort(-1).values
        assert torch.equal(listed[live], expected_index[live]), indices


@given(st.data(), masks(), st.tuples(*[st.sampled_from([1, 2, 3])] * 2), st.sampled_from([2, 3, 8]))
def test_drawn_in_small_steps(
    data: st.DataObject, mask: Expr, block: tuple[int, int], factor: int
) -> None:
    """The same where even small matrices take several levels, chunks and parts."""
    case = data.draw(environments(mask, positions=data.draw(st.booleans())))
    with (
        patch.multiple(tiles, TOP=1, FACTOR=factor, CHUNK=data.draw(st.integers(16, 64))),
        patch.multiple(refine, PARTS=2, POINTS=64),
        patch.object(compact, "DECODE_ROWS", 0),
    ):
        assert_tables(*rows_of_case(mask, case), block)


@pytest.mark.parametrize("mask", LITERATURE[::3], ids=lambda mask: mask.name)
def test_literature_in_small_steps(mask: Mask) -> None:
    draw = Draw(129, 150, batch=2, heads=3)
    domain = domain_of(129, 150, 2, 3, **mask.inputs(draw))
    with (
        patch.multiple(tiles, TOP=3, FACTOR=4, CHUNK=100),
        patch.multiple(refine, PARTS=2, POINTS=100),
        patch.object(compact, "DECODE_ROWS", 0),
    ):
        assert_tables(row_mask(mask.text, domain), domain, (4, 5))


@pytest.mark.parametrize("block", [(16, 16), (24, 40), (128, 128)])
def test_true_everywhere_but_not_by_intervals(block: tuple[int, int]) -> None:
    """Every point is needed to see that a tile is full, or partial as it sticks out."""
    domain = domain_of(130, 150)
    assert_tables(row_mask("q * k == k * q", domain), domain, block)


@pytest.mark.parametrize(
    "text", ["input t: int; t[0, q] == t[1, k]", "input t: int; t[batch, q] != t[batch, k]"]
)
def test_ids_of_several_sequences(text: str) -> None:
    """Ids are numbered by sequence only where both sides read the same one."""
    ids = torch.tensor([[3, 1, 2, 0], [1, 0, 3, 2]]).repeat_interleave(25, dim=1)
    domain = domain_of(100, 100, batch=2, t=ids)
    assert_tables(row_mask(text, domain), domain, (10, 8))
