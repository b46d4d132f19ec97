"""Compact tables: small in memory, and taken by torch's compiled kernel."""

from __future__ import annotations

import pytest
import torch
from row_programs import dense, domain_of, row_mask
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tiles.classify import tile_map

DIFFUSION = (
    "let half = q_len // 2; let nq = q < half; let nk = k < half; let bq = q % half // 32; "
    "let bk = k % half // 32; (bq == bk & nq & nk) | (bq > bk & nq & !nk) | "
    "(bq >= bk & !nq & !nk)"
)


@pytest.mark.parametrize("text", ["causal | prefix", "prefix | !causal", DIFFUSION])
def test_rows_that_hold_each_other_share_one_sequence(text: str) -> None:
    """Hundreds of rows of as many tiles take a few rows of memory, for each batch."""
    prefix = {"prefix_len": torch.tensor([1024, 4096])} if "prefix" in text else {}
    domain = domain_of(16384, 16384, 2, **prefix)
    tables = block_tables(tile_map(row_mask(text, domain), domain, (64, 64)), compact=True)
    for count, indices in zip(tables[::2], tables[1::2], strict=True):
        rows = count.shape[0] * (indices.shape[2] + indices.shape[3])
        assert indices.untyped_storage().nbytes() // 4 <= 4 * rows
    assert max(int(count.max()) for count in tables[::2]) > 100


def test_without_a_backward_pass() -> None:
    domain = domain_of(300, 300)
    found = tile_map(row_mask("causal", domain), domain, (16, 16))
    both, forward = block_tables(found), block_tables(found, backward=False)
    assert forward[4:] == (None,) * 4
    assert all(torch.equal(a, b) for a, b in zip(both[:4], forward[:4], strict=True))


@pytest.mark.parametrize("text", ["causal", "causal & window(200)", "true", "sinks(3) | causal"])
def test_rows_overlap(text: str) -> None:
    """A row of indices takes about as much memory as its entries, or none of its own."""
    domain = domain_of(20000, 20000)
    tables = block_tables(tile_map(row_mask(text, domain), domain, (16, 16)), compact=True)
    for count, indices in zip(tables[::2], tables[1::2], strict=True):
        rows, columns = indices.shape[-2:]
        shared = indices.untyped_storage().nbytes() // 4 <= 2 * (rows + columns)
        assert shared or indices.stride(2) == int(count.max())
        assert indices.shape == (1, 1, 1250, 1250)


@pytest.mark.parametrize("text", ["causal & (sinks(4) | window(512))", "causal | prefix"])
def test_inference_takes_little_memory(text: str) -> None:
    """A long column of partial tiles makes tables by key wide; those by query stay narrow."""
    length = 131072
    prefix = (
        {"prefix_len": torch.tensor([length // 8 + 5, length // 3])} if "prefix" in text else {}
    )
    domain = domain_of(length, length, 2, **prefix)
    found = tile_map(row_mask(text, domain), domain, (128, 128))
    tables = block_tables(found, compact=True, backward=False)
    assert sum(t.untyped_storage().nbytes() for t in tables if t is not None) < 2**16


@pytest.mark.compiled
@pytest.mark.parametrize("text", ["causal", "input n: int; causal & k < n[batch] | k < 33"])
def test_compiled_flex_reads_them(text: str) -> None:
    """Full tiles that share a row beside partial ones that do not, and rows for each batch."""
    batch, length = 2, 300
    n = torch.tensor([60, 300])
    domain = domain_of(length, length, batch, 2, **({"n": n} if "n[" in text else {}))
    mask = row_mask(text, domain)
    tables = block_tables(tile_map(mask, domain, (16, 16)), compact=True)
    true = dense(mask, domain, batch, 2)
    blocks = BlockMask(
        (length, length),
        *tables,
        BLOCK_SIZE=(16, 16),
        mask_mod=lambda b, h, q, k: true[b, h, q, k],
    )
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, 2, length, 16, generator=random) for _ in range(3))
    out = torch.compile(flex_attention, dynamic=False)(q, k, v, block_mask=blocks)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=true)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
