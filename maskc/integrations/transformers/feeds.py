"""What a model is run on to see how it attends, and what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from maskc.errors import ModelError, did_you_mean
from maskc.integrations.transformers.fitting import rows_and_tokens


def default_feed(model: PreTrainedModel) -> dict[str, Any]:
    """Return rows of text for a model, the second padded on the left.

    Raises:
        ModelError: the model takes more than text.

    """
    if model.main_input_name != "input_ids":
        message = f"{type(model).__name__} takes `{model.main_input_name}`, which is not made here"
        help = f"give an example: `probe={{'{model.main_input_name}': ...}}`"
        raise ModelError("M904", message, help=help)
    config = model.config.get_text_config()
    rows, tokens = rows_and_tokens(model)
    ids = _text(config.vocab_size, rows, tokens, model.device)
    attention_mask = torch.ones_like(ids)
    attention_mask[1, : tokens // 4] = 0
    feed: dict[str, Any] = {"input_ids": ids, "attention_mask": attention_mask}
    if model.config.is_encoder_decoder:
        feed["decoder_input_ids"] = ids[:, : tokens // 2].contiguous()
    return feed


def _text(vocabulary: int, rows: int, tokens: int, device: torch.device) -> Tensor:
    """Return tokens from the middle of the vocabulary, away from the special ones at its ends."""
    first, count = vocabulary // 4, max(1, vocabulary // 2)
    steps = torch.arange(rows * tokens, device=device).reshape(rows, tokens) * 7919
    return first + steps % count


def checked_feed(model: PreTrainedModel, feed: object) -> Mapping[str, Any]:
    """Return what a model is to run on, if it takes that.

    Raises:
        ModelError: it is no dict, or the model has no argument of some name.

    """
    if not isinstance(feed, Mapping):
        message = f"expected a dict of the model's arguments, found {type(feed).__name__}"
        raise ModelError("M904", message, help=f"such as `{{'{model.main_input_name}': ...}}`")
    known = signature(model.forward).parameters
    open_ended = any(one.kind is Parameter.VAR_KEYWORD for one in known.values())
    for name in feed:
        guess = did_you_mean(name, list(known))
        if name not in known and (guess or not open_ended):
            message = f"{type(model).__name__} takes no `{name}`"
            raise ModelError("M904", message, help=guess or f"it takes {', '.join(known)}")
    return feed


def run(model: PreTrainedModel, feed: Mapping[str, Any]) -> Tensor:
    """Return the first output of a model, without gradients, dropout or a cache.

    Raises:
        ModelError: it has no weights.

    """
    if all(weight.is_meta for weight in model.parameters()):
        message = f"{type(model).__name__} has no weights: all are on the device meta"
        raise ModelError(
            "M904", message, help="load them, or build few and small layers to look at"
        )
    keywords = dict(feed)
    keywords.setdefault("use_cache", False)
    with torch.no_grad(), evaluating(model):
        try:
            outputs = model(**keywords)
        except TypeError as error:
            if "use_cache" not in str(error) or "use_cache" in feed:
                raise
            outputs = model(**feed)
    found = outputs.get("logits") if hasattr(outputs, "get") else None
    if found is None:
        found = next(part for part in outputs.to_tuple() if isinstance(part, Tensor))
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let a model evaluate, without dropout."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
