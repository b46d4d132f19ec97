"""Attention and its gradients by a walk over block tables, tile by tile, as kernels walk them.

The forward pass walks ``kv_*``, a row of q blocks at a time, and the backward pass ``q_*``, a row
of kv blocks at a time; only tiles of the partial tables apply the mask. Nothing that runs on a CPU
reads the tables by rows of kv, so this walk is what tests them.
"""

from __future__ import annotations

import torch
from torch import Tensor

Tables = tuple[Tensor, ...]
"""``kv`` counts and indices, those of full tiles, then the same of ``q``."""


def forward(
    q: Tensor, k: Tensor, v: Tensor, true: Tensor, t: Tables, block: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the output, and for each query the sum of the exponentials of its scores."""
    out, total = torch.zeros(*q.shape[:-1], v.shape[-1]).to(v), torch.zeros(q.shape[:-1]).to(q)
    for index in groups(q):
        for row in range(t[0].shape[-1]):
            rows = slice(row * block[0], (row + 1) * block[0])
            for column, masked in walk(t[:4], index, row):
                keys = slice(column * block[1], (column + 1) * block[1])
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
    block: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Return the gradients of k and v."""
    grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    delta = (out * grad).sum(-1)
    for index in groups(q):
        for row in range(t[4].shape[-1]):
            keys = slice(row * block[1], (row + 1) * block[1])
            for column, masked in walk(t[4:], index, row):
                rows = slice(column * block[0], (column + 1) * block[0])
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


def walk(tables: Tables, index: tuple[int, int], row: int) -> list[tuple[int, bool]]:
    """Return the columns of a row of blocks, and whether the mask is to be applied there."""
    batch, head = (i if size > 1 else 0 for i, size in zip(index, tables[0].shape, strict=False))
    listed = []
    for count, indices, masked in ((*tables[:2], True), (*tables[2:], False)):
        live = int(count[batch, head, row])
        listed += [(column, masked) for column in indices[batch, head, row, :live].tolist()]
    return listed
