"""The mask function that transformers calls under the name ``maskc``, once a forward and kind."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.masking_utils import causal_mask_function

from maskc.integrations.transformers.forward.context import Context
from maskc.integrations.transformers.forward.derive import Derived, derive, derive_in_graph
from maskc.integrations.transformers.forward.packing import documents_as_ranges
from maskc.integrations.transformers.forward.symbols import MaskFunction
from maskc.integrations.transformers.forward.texts import is_causal
from maskc.ir.in_trace import in_trace


def make_context(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int | Tensor = 0,
    mask_function: MaskFunction = causal_mask_function,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    **_: Any,
) -> Context:
    """Return what the layers need to bind their programs.

    Args:
        batch_size: batches.
        q_length: queries.
        kv_length: keys, those of the cache included.
        q_offset: the slot of the first query; a tensor with a static cache.
        kv_offset: the slot of the first key; more than 0 where a sliding cache dropped keys.
        mask_function: what transformers composed, of indices.
        attention_mask: which slots hold tokens, ``[batch, slots]``.
        device: where the model is.
        dtype: of a mask of floats, for models that work on theirs.

    """
    sizes = (batch_size, q_length, kv_length)
    if in_trace():
        # A static cache advances its length in place, before the layers read it.
        offsets = (_own(q_offset), _own(kv_offset))
        own = derive_in_graph(mask_function, sizes, offsets, device)
        real = attention_mask if attention_mask is None else _filled(attention_mask, sizes, offsets)
        return Context(sizes, offsets, own, real, attention_mask is not None, dtype, device)
    offsets = (int(q_offset), int(kv_offset))
    own = documents_as_ranges(derive(mask_function))
    real = attention_mask
    if real is not None:
        real = None if _hides_nothing(real, own, sizes, offsets) else _filled(real, sizes, offsets)
    return Context(sizes, offsets, own, real, attention_mask is not None, dtype, device)


def _own(offset: int | Tensor) -> int | Tensor:
    return offset.clone() if isinstance(offset, Tensor) else offset


def _hides_nothing(
    attention_mask: Tensor, own: Derived, sizes: tuple[int, int, int], offsets: tuple[int, int]
) -> bool:
    """Tell whether every slot that a query may see holds a token.

    A static cache has slots that no token has reached; a causal mask never shows them.
    """
    seen = offsets[1] + sizes[2]
    if is_causal(own.text):
        seen = min(seen, offsets[0] + sizes[1])
    return attention_mask.shape[-1] >= seen and bool(attention_mask[:, :seen].all())


def _filled(
    attention_mask: Tensor, sizes: tuple[int, int, int], offsets: tuple[Any, Any]
) -> Tensor:
    """Return the mask over all slots of the keys; those beyond it hold nothing yet."""
    missing = sizes[2] + offsets[1] - attention_mask.shape[-1]
    if isinstance(missing, int) and missing > 0:
        attention_mask = F.pad(attention_mask, (0, missing))
    return attention_mask
