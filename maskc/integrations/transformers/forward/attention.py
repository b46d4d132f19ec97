"""The attention that transformers calls under the name ``maskc``, in every layer."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskc.errors import BindError, ModelError
from maskc.integrations.transformers.forward.binding import bound_for
from maskc.integrations.transformers.forward.context import Context
from maskc.integrations.transformers.forward.derive import DENSE, Derived
from maskc.integrations.transformers.forward.recording import Call, is_recording, record
from maskc.integrations.transformers.forward.scores import READ, in_one_dtype, scores_of
from maskc.ir.in_trace import in_trace
from maskc.lower.one_query.attend import attend as attend_once

OTHER_NAMES = frozenset({"sdpa", "flex_attention", "flash_attention_2", "flash_attention_3"})


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Context | Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **keywords: Any,
) -> tuple[Tensor, None]:
    """Attend in one layer.

    Args:
        module: the layer.
        query: ``[batch, heads, queries, width]``.
        key: ``[batch, key heads, keys, width]``.
        value: likewise.
        attention_mask: the context of the forward; a mask that the caller prepared, boolean or
            added to the scores ``[batch, heads | 1, queries, keys]``; or None for no mask.
        scaling: factor of ``q @ k^T``, ``1 / sqrt(width)`` if None.
        dropout: probability that a weight is dropped, in training.
        **keywords: what else the layer tells: see ``scores.py``.

    Returns:
        The output ``[batch, queries, heads, width]``, and None for the weights.

    Raises:
        MaskcError: the layer does what no program carries.

    """
    layer = cast(Hashable, type(module))
    if keywords.get("indices") is None:  # a layer that hands them over has no other way to go
        _check_class(layer)
    for name in _unknown_keywords(layer):
        if keywords.get(name) is not None:
            raise _unknown_keyword(module, name)
    context, prepared = _context(attention_mask, query, key, keywords)
    if context.sizes[1:] != (query.shape[2], key.shape[2]):
        raise _other_sizes(module, context, query, key)
    query, key, value = in_one_dtype(query, key, value)
    scores = scores_of(keywords, prepared, key.shape[2])
    binding = bound_for(module, context, query, key, scores, keywords.get("position_ids"))
    p = dropout if module.training else 0.0
    if binding.seen is not None and not p:
        late: dict[str, Any] = {}
        out = attend_once(query, key, value, binding.seen, scaling, is_finite=True)
    elif binding.is_causal is not None and not p and (scaling is None or scaling > 0):
        late = {}
        grouped = query.shape[1] != key.shape[1]
        causal = binding.is_causal
        out = F.scaled_dot_product_attention(
            query, key, value, is_causal=causal, scale=scaling, enable_gqa=grouped
        )
    else:
        late = {name: scores.inputs[name] for name in binding.bound.call_inputs}
        attended: Any = binding.bound(query, key, value, scale=scaling, dropout_p=p, **late)
        out = cast(Tensor, attended)
    if not in_trace() and is_recording():
        inputs = {**binding.parts.inputs, **late}
        record(Call(module, binding.program, binding.bound, inputs, query, key))
    return out.transpose(1, 2).contiguous(), None


def _context(
    mask: Context | Tensor | None, query: Tensor, key: Tensor, keywords: dict[str, Any]
) -> tuple[Context, Tensor | None]:
    """Return the context of a call, and a mask of floats that the caller prepared.

    Raises:
        BindError: the caller prepared a mask of ints, which could mean either.

    """
    if isinstance(mask, Context):
        return mask, None
    sizes = (query.shape[0], query.shape[2], key.shape[2])
    if mask is None:
        text = "k <= q" if keywords.get("is_causal") and sizes[1] > 1 else "true"
        return Context(sizes, (0, 0), Derived(text, {})), None
    mask = mask[..., : sizes[2]]
    if mask.dtype is torch.bool:
        own, added = Derived(DENSE, {"allowed": mask}), None
    elif mask.is_floating_point():
        own, added = Derived("true", {}), mask
    else:
        message = f"a prepared mask has booleans, or floats to be added, found {mask.dtype}"
        raise BindError("M412", message, help="compare it: `attention_mask != 0`")
    return Context(sizes, (0, 0), own, None, True, is_prepared=True), added


def _other_sizes(module: nn.Module, context: Context, query: Tensor, key: Tensor) -> ModelError:
    found = f"{query.shape[2]} queries and {key.shape[2]} keys"
    made = f"{context.sizes[1]} and {context.sizes[2]}"
    message = f"{type(module).__name__} attends with {found}, and its mask was made for {made}"
    help = (
        "`attention_mask` has an entry for each token, those in the cache included; a model that "
        "adds or drops keys of its own needs `eager`"
    )
    return ModelError("M902", message, help=help)


@lru_cache(maxsize=1024)
def _check_class(layer: Any) -> None:
    """Refuse a layer whose code goes one way or another by the name of the implementation.

    Such code knows the names that transformers has, and no others: what it would do to a mask of
    ours, it does in silence.

    Raises:
        ModelError: it names the layer.

    """
    for function in vars(layer).values():
        code = function.__code__ if isinstance(function, FunctionType) else None
        if code is not None and _knows_implementations(code):
            raise ModelError(
                "M902",
                f"{layer.__name__} goes ways of its own for some implementations, "
                "and does not know this one",
                help='take `attn_implementation="eager"` for it',
            )


KNOWN = READ | {
    *("module", "query", "key", "value", "attention_mask", "scaling", "dropout"),
    *("is_causal", "position_ids", "sliding_window"),  # the mask tells as much
}
"""What this reads of what eager attention may take, or need not read."""


@lru_cache(maxsize=1024)
def _unknown_keywords(layer: Any) -> tuple[str, ...]:
    """Return what the eager attention beside a layer takes by name, and this does not know."""
    eager = getattr(sys.modules.get(layer.__module__), "eager_attention_forward", None)
    if not isinstance(eager, FunctionType):
        return ()
    code = eager.__code__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(name for name in named if name not in KNOWN)


def _unknown_keyword(module: nn.Module, name: str) -> ModelError:
    message = f"{type(module).__name__} hands over `{name}`, which no program carries"
    help = 'its own attention reads that: take `attn_implementation="eager"` for it'
    return ModelError("M903", message, help=help)


def _knows_implementations(code: CodeType) -> bool:
    if "BlockMask" in code.co_names:
        return True
    if "_attn_implementation" not in code.co_names:
        return False
    constants = [part for one in code.co_consts for part in (one if type(one) is tuple else (one,))]
    return any(isinstance(one, str) and one in OTHER_NAMES for one in constants)
