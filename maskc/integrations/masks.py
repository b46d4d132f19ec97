"""Masks in the forms that other libraries take, and nothing that those forms cannot carry.

torchtitan's models take the block masks of ``get_attention_masks``; timm's attention, and whoever
calls ``scaled_dot_product_attention`` with a mask it is given, a dense one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.errors import BindError, LoweringError
from maskc.integrations.inputs import doc_ids_from_ends, doc_ids_from_position_ids
from maskc.ir.nodes import OUT, SCORE
from maskc.program import Program

__all__ = ["attn_mask", "get_attention_masks"]

BLOCK = 128


def get_attention_masks(
    programs: Program | Mapping[str, Program],
    tokens: Tensor | None = None,
    eos_id: int | None = None,
    *,
    positions: Tensor | None = None,
    **inputs: Any,
) -> BlockMask | dict[str, BlockMask]:
    """Return block masks for a step, as torchtitan's models take them.

    Args:
        programs: a mask, or one for each kind of layer by its name.
        tokens: of the step, ``[batch, tokens]``.
        eos_id: the token that ends a document; programs that read ``doc`` get theirs from it.
        positions: of the step, ``[batch, tokens]``, each document's from 0: what a model of
            torchtitan is given. Programs that read ``doc`` get theirs from it.
        **inputs: what else the programs read.

    Returns:
        A block mask; with several programs a dict of them.

    Raises:
        LoweringError: a program has a score or an epilogue, which no block mask carries.
        BindError: there are neither tokens nor positions, or an input is missing or does not fit.

    """
    rows = positions if tokens is None else tokens
    if rows is None or rows.dim() != 2:
        found = "none" if rows is None else f"shape {list(rows.shape)}"
        message = f"expected tokens or positions [batch, tokens], found {found}"
        raise BindError("M430", message, help="pass what the model is given in this step")
    if positions is not None:
        inputs.setdefault("doc", doc_ids_from_position_ids(positions))
    elif eos_id is not None and tokens is not None:
        inputs.setdefault("doc", doc_ids_from_ends(tokens, eos_id))
    if isinstance(programs, Mapping):
        return {kind: _block_mask(one, rows, inputs) for kind, one in programs.items()}
    return _block_mask(programs, rows, inputs)


def _block_mask(program: Program, tokens: Tensor, inputs: Mapping[str, Any]) -> BlockMask:
    if (program.module.score, program.module.out) != (SCORE, OUT):
        raise LoweringError(
            "M507",
            "the program has a score or an epilogue, which no block mask carries",
            help="call `bound(q, k, v)` in the layer, or hand over `bound.flex_args()`",
        )
    read = {declared.name for declared in program.inputs}
    batch, length = tokens.shape
    given = {name: value for name, value in inputs.items() if name in read}
    bound = program.bind(q_len=length, batch_size=batch, device=tokens.device, **given)
    return bound.block_mask or _of_all_pairs(length, tokens.device)


def _of_all_pairs(length: int, device: torch.device) -> BlockMask:
    """Return the block mask of every pair: torchtitan takes no None for it."""
    blocks = -(-length // BLOCK)
    count = torch.full((1, 1, blocks), blocks, dtype=torch.int32, device=device)
    index = torch.arange(blocks, dtype=torch.int32, device=device).repeat(1, 1, blocks, 1)
    none = torch.zeros_like(count), torch.zeros_like(index)
    return BlockMask.from_kv_blocks(*none, count, index, BLOCK, seq_lengths=(length, length))


def attn_mask(
    program: Program,
    tokens: int,
    heads: int,
    *,
    dtype: torch.dtype | None = None,
    **keywords: Any,
) -> Tensor | None:
    """Return the dense mask for an attention that hands one on to SDPA, such as timm's.

    Args:
        program: a mask, with a bias at most.
        tokens: of a row, class and register tokens included.
        heads: of the attention.
        dtype: of floats, 0 and -inf for a mask: for an attention that adds what it is given, such
            as timm's pooling where SDPA is switched off. None: booleans for a mask.
        **keywords: what else ``Program.bind`` takes.

    Returns:
        Booleans, or floats to be added, in the smallest shape that broadcasts to
        ``[batch, heads, tokens, tokens]``; None where nothing is masked.

    Raises:
        LoweringError: the score is more than a bias, or there is an epilogue.

    """
    bound = program.bind(q_len=tokens, num_heads=heads, **keywords)
    bound.sdpa_args()  # refuses an epilogue, and a score that needs q and k
    mask = bound.attn_mask()
    if mask is None or dtype is None:
        return mask
    if mask.dtype is not torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)
