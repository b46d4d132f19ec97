"""Attention written out by hand: what every backend must give, in float64."""

from __future__ import annotations

import math

import torch
from environments import Case
from torch import Tensor

from maskc.ir.nodes import Module

QKV = tuple[Tensor, Tensor, Tensor]


def qkv_of(case: Case, width: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> QKV:
    """Return q, k and v for a case, from a normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    queries = case.batch_size, case.num_heads, case.q_len, width
    keys = case.batch_size, case.num_kv_heads, case.kv_len, width
    drawn = (
        torch.randn(s, generator=generator, dtype=torch.float64) for s in (queries, keys, keys)
    )
    q, k, v = (x.to(dtype) for x in drawn)
    return q, k, v


def attended(
    module: Module, case: Case, qkv: QKV, scale: float, empty_rows: str = "zero"
) -> tuple[Tensor, Tensor]:
    """Return the output ``[B, H, Q, D]`` and the log-sum-exp ``[B, H, Q]`` of a module.

    The mask, the score and the epilogue are evaluated point by point; the softmax is a quotient of
    sums over the keys of the row.
    """
    q, k, v = (x.double() for x in qkv)
    group = case.num_heads // case.num_kv_heads
    k, v = (torch.stack([x[:, h // group] for h in range(case.num_heads)], 1) for x in (k, v))
    mask = case.matrix(module.mask)
    if empty_rows == "all":
        mask = mask | ~mask.any(-1, keepdim=True)
    scores = case.matrix(module.score, torch.einsum("bhqd,bhkd->bhqk", q, k) * scale)
    scores = torch.where(mask, scores, -math.inf)
    most = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).min)
    terms = (scores - most).exp()
    total = terms.sum(-1)
    lse = total.log() + most.squeeze(-1)
    out = torch.einsum("bhqk,bhkd->bhqd", terms, v) / total.clamp(min=1e-300)[..., None]
    if empty_rows == "nan":
        out = torch.where(mask.any(-1, keepdim=True), out, math.nan)
    return _epilogue(module, case, out, lse), lse


def _epilogue(module: Module, case: Case, out: Tensor, lse: Tensor) -> Tensor:
    """Apply the epilogue to each column of the output."""
    columns = [_column(module, case, out[..., i], lse) for i in range(out.shape[-1])]
    return torch.stack(columns, -1)


def _column(module: Module, case: Case, out: Tensor, lse: Tensor) -> Tensor:
    """Drawn epilogues multiply ``out``: evaluate the factor once for each row."""
    return out * case.rows(module.out, lse)
