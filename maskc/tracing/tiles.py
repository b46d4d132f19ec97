"""Block tables in torch's own layout: full ones, joined ones, one for each batch and head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

TABLES = (
    *("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices"),
    *("q_num_blocks", "q_indices", "full_q_num_blocks", "full_q_indices"),
)


def expanded(found: BlockMask, sizes: tuple[int, int]) -> BlockMask:
    """Return a block mask with tables for so many batches and heads, none of them copied."""
    tables: dict[str, Any] = {name: getattr(found, name) for name in TABLES}
    for name, table in tables.items():
        tables[name] = None if table is None else table.expand(*sizes, *table.shape[2:])
    return BlockMask(seq_lengths=found.seq_lengths, BLOCK_SIZE=found.BLOCK_SIZE, **tables)


def all_full(
    sizes: tuple[int, int, int, int], blocks: tuple[int, int], device: torch.device
) -> BlockMask:
    """Return the block mask of a mask that is true everywhere.

    A tile that reaches over the end of the queries or keys is partial, as in torch.
    """
    batch, heads, q_len, kv_len = sizes
    inside = [
        torch.arange(-(-length // block), device=device) < length // block
        for length, block in zip((q_len, kv_len), blocks, strict=True)
    ]
    full = (inside[0][:, None] & inside[1]).expand(batch, heads, -1, -1)
    return _block_mask(~full, full, (q_len, kv_len), blocks)


def joined(found: BlockMask) -> BlockMask:
    """Return a block mask that lists its full tiles among the partial ones."""
    if found.full_kv_num_blocks is None or found.full_kv_indices is None:
        return found
    partial = _dense(found.kv_num_blocks, found.kv_indices)
    full = _dense(found.full_kv_num_blocks, found.full_kv_indices)
    return _block_mask(partial | full, None, found.seq_lengths, found.BLOCK_SIZE)


def _dense(counts: Tensor, indices: Tensor) -> Tensor:
    """Return which tiles a table lists, bool ``[B, H, rows, columns]``."""
    listed = torch.arange(indices.shape[-1], device=indices.device) < counts[..., None]
    # What is listed beyond the count is sent to a column of its own.
    place = torch.where(listed, indices.long(), indices.shape[-1])
    dense = torch.zeros((*place.shape[:-1], place.shape[-1] + 1), dtype=torch.bool)
    return dense.to(place.device).scatter_(-1, place, True)[..., :-1]


def _listed(dense: Tensor) -> tuple[Tensor, Tensor]:
    """Return tiles as counts and indices, those that count first."""
    indices = torch.argsort(dense.int(), dim=-1, descending=True, stable=True)
    return dense.sum(-1).int().contiguous(), indices.int().contiguous()


def _block_mask(
    partial: Tensor, full: Tensor | None, lengths: tuple[int, int], blocks: tuple[int, int]
) -> BlockMask:
    counts, indices = _listed(partial)
    full_counts, full_indices = (None, None) if full is None else _listed(full)
    return BlockMask.from_kv_blocks(
        counts, indices, full_counts, full_indices, BLOCK_SIZE=blocks, seq_lengths=lengths
    )
