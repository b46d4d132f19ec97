"""Walking the tables tile by tile gives attention and its gradients."""

from __future__ import annotations

import pytest
import torch
from literature import LITERATURE, Draw, Mask
from row_programs import dense, domain_of, row_mask
from table_walk import backward, forward

from maskc.analysis.tables.block_tables import block_tables
from maskc.analysis.tiles.classify import tile_map

BLOCK = (16, 24)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("mask", LITERATURE[::4], ids=lambda mask: mask.name)
def test_walk(mask: Mask, compact: bool) -> None:
    q_len, k_len, batch, heads = 100, 130, 2, 2
    domain = domain_of(q_len, k_len, batch, heads, **mask.inputs(Draw(q_len, k_len, batch, heads)))
    expr = row_mask(mask.text, domain)
    tables = block_tables(tile_map(expr, domain, BLOCK), compact)
    true = dense(expr, domain, batch, heads)
    random = torch.Generator().manual_seed(0)
    q, k, v, grad = (
        torch.randn(batch, heads, n, 8, dtype=torch.float64, generator=random)
        for n in (q_len, k_len, k_len, q_len)
    )
    for tensor in (q, k, v):
        tensor.requires_grad_()
    weights = (q @ k.mT).masked_fill(~true, -torch.inf).softmax(-1).nan_to_num()
    (weights @ v).backward(grad)
    with torch.no_grad():
        out, total = forward(q, k, v, true, tables, BLOCK)
        torch.testing.assert_close(out, weights @ v)
        grad_k, grad_v = backward(q, k, v, out, total, grad, true, tables, BLOCK)
    torch.testing.assert_close(grad_v, v.grad)
    torch.testing.assert_close(grad_k, k.grad)
