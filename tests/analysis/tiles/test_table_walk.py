"""Walking the tables tile by tile gives attention and its gradients.

Nothing that runs on a CPU reads the tables by rows of kv, so this walk is what tests them. The
forward pass walks ``kv_*``, a row of q blocks at a time, and the backward pass ``q_*``, a row of kv
blocks at a time; only tiles of the partial tables apply the mask.
"""

from __future__ import annotations

import pytest
import torch
from literature import LITERATURE, Draw, Mask
from row_programs import dense, domain_of, row_mask
from torch import Tensor

from maskc.analysis.tiles.block_tables import Tables, block_tables
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
        out, total = forward(q, k, v, true, tables)
        torch.testing.assert_close(out, weights @ v)
        grad_k, grad_v = backward(q, k, v, out, total, grad, true, tables)
    torch.testing.assert_close(grad_v, v.grad)
    torch.testing.assert_close(grad_k, k.grad)


def forward(q: Tensor, k: Tensor, v: Tensor, true: Tensor, t: Tables) -> tuple[Tensor, Tensor]:
    """Return the output, and for each query the sum of the exponentials of its scores."""
    out, total = torch.zeros(*q.shape[:-1], v.shape[-1]).to(v), torch.zeros(q.shape[:-1]).to(q)
    for index in groups(q):
        for block in range(t.kv_num_blocks.shape[-1]):
            rows = slice(block * BLOCK[0], (block + 1) * BLOCK[0])
            for column, masked in walk(t[:4], index, block):
                keys = slice(column * BLOCK[1], (column + 1) * BLOCK[1])
                weight = (q[index][rows] @ k[index][keys].mT).exp()
                if masked:
                    weight = weight * true[index][rows, keys]
                out[index][rows] += weight @ v[index][keys]
                total[index][rows] += weight.sum(-1)
    return out / total.clamp(min=1e-300)[..., None], total


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    total: Tensor,
    grad: Tensor,
    true: Tensor,
    t: Tables,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of k and v."""
    grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    delta = (out * grad).sum(-1)
    for index in groups(q):
        for block in range(t.q_num_blocks.shape[-1]):
            keys = slice(block * BLOCK[1], (block + 1) * BLOCK[1])
            for column, masked in walk(t[4:], index, block):
                rows = slice(column * BLOCK[0], (column + 1) * BLOCK[0])
                weight = (q[index][rows] @ k[index][keys].mT).exp()
                if masked:
                    weight = weight * true[index][rows, keys]
                weight = weight / total[index][rows].clamp(min=1e-300)[:, None]
                grad_v[index][keys] += weight.mT @ grad[index][rows]
                slope = grad[index][rows] @ v[index][keys].mT - delta[index][rows][:, None]
                grad_k[index][keys] += (weight * slope).mT @ q[index][rows]
    return grad_k, grad_v


def groups(q: Tensor) -> list[tuple[int, int]]:
    return [(b, h) for b in range(q.shape[0]) for h in range(q.shape[1])]


def walk(tables: tuple[Tensor, ...], index: tuple[int, int], block: int) -> list[tuple[int, bool]]:
    """Return the columns of a row of blocks, and whether the mask is to be applied there."""
    batch, head = (i if size > 1 else 0 for i, size in zip(index, tables[0].shape, strict=False))
    listed = []
    for count, indices, masked in ((*tables[:2], True), (*tables[2:], False)):
        live = int(count[batch, head, block])
        listed += [(column, masked) for column in indices[batch, head, block, :live].tolist()]
    return listed
