"""Masks in the forms that other libraries take, and nothing that those forms cannot carry.

torchtitan's models take the block masks of ``get_attention_masks``; timm's attention, and whoever
calls ``scaled_dot_product_attention`` with a mask it is given, a dense one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.errors import LoweringError
from maskc.integrations.inputs import doc_ids_from_ends
from maskc.ir.nodes import OUT, SCORE
from maskc.program import Program

__all__ = ["attn_mask", "get_attention_masks"]


def get_attention_masks(
    programs: Program | Mapping[str, Program],
    tokens: Tensor,
    eos_id: int | None = None,
    **inputs: Any,
) -> BlockMask | dict[str, BlockMask | None] | None:
    """Return block masks for a step, as torchtitan's models take them.

    Args:
        programs: a mask, or one for each kind of layer by its name.
        tokens: of the step, ``[batch, tokens]``.
        eos_id: the token that ends a document; programs that read ``doc`` get theirs from it.
        **inputs: what else the programs read.

    Returns:
        A block mask, or None where nothing is masked; with several programs a dict of them.

    Raises:
        LoweringError: a program has a score or an epilogue, which no block mask carries.
        BindError: an input is missing, or does not fit.

    """
    if eos_id is not None:
        inputs.setdefault("doc", doc_ids_from_ends(tokens, eos_id))
    if isinstance(programs, Mapping):
        return {kind: _block_mask(one, tokens, inputs) for kind, one in programs.items()}
    return _block_mask(programs, tokens, inputs)


def _block_mask(program: Program, tokens: Tensor, inputs: Mapping[str, Any]) -> BlockMask | None:
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
    return bound.block_mask


def attn_mask(program: Program, tokens: int, heads: int, **keywords: Any) -> Tensor | None:
    """Return the dense mask for an attention that hands one on to SDPA, such as timm's.

    Args:
        program: a mask, with a bias at most.
        tokens: of a row, class and register tokens included.
        heads: of the attention.
        **keywords: what else ``Program.bind`` takes.

    Returns:
        Booleans, or floats to be added, in the smallest shape that broadcasts to
        ``[batch, heads, tokens, tokens]``; None where nothing is masked.

    Raises:
        LoweringError: the score is more than a bias, or there is an epilogue.

    """
    bound = program.bind(q_len=tokens, num_heads=heads, **keywords)
    bound.sdpa_args()  # refuses an epilogue, and a score that needs q and k
    return bound.attn_mask()
