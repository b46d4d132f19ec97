"""What a model is run on to see how it attends, and what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from maskc.errors import MaskcError, ModelError, did_you_mean
from maskc.integrations.transformers.implementation import using

TOKENS = 24
PADDING = 5


def default_feed(model: PreTrainedModel) -> dict[str, Any]:
    """Return two rows of text for a model, the second padded on the left.

    Raises:
        ModelError: the model takes more than text.

    """
    if model.main_input_name != "input_ids":
        message = f"{type(model).__name__} takes `{model.main_input_name}`, which is not made here"
        help = f"give an example: `probe={{'{model.main_input_name}': ...}}`"
        raise ModelError("M904", message, help=help)
    config = model.config.get_text_config()
    ids = _text(config.vocab_size, model.device)
    attention_mask = torch.ones_like(ids)
    attention_mask[1, :PADDING] = 0
    feed: dict[str, Any] = {"input_ids": ids, "attention_mask": attention_mask}
    if model.config.is_encoder_decoder:
        feed["decoder_input_ids"] = ids[:, : TOKENS // 2].contiguous()
    return feed


def _text(vocabulary: int, device: torch.device) -> Tensor:
    """Return tokens from the middle of the vocabulary, away from the special ones at its ends."""
    first, count = vocabulary // 4, max(1, vocabulary // 2)
    steps = torch.arange(2 * TOKENS, device=device).reshape(2, TOKENS) * 7919
    return first + steps % count


def check_model(model: object) -> None:
    """Refuse what is no model of transformers.

    Raises:
        ModelError: it says what was found.

    """
    if isinstance(model, PreTrainedModel):
        return
    message = f"expected a model of transformers, found {type(model).__name__}"
    help = "for attention of your own, call `program(q, k, v)` in it"
    parts = model.named_modules() if isinstance(model, nn.Module) else ()
    inside = next((path for path, part in parts if isinstance(part, PreTrainedModel)), None)
    if inside is not None:
        help = f"it is around one: take `model.{inside}`, or do this before it is wrapped"
    raise ModelError("M901", message, help=help)


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


def run_eager(model: PreTrainedModel, feed: Mapping[str, Any]) -> Tensor:
    """Return the first output of a model under its own eager attention.

    Raises:
        ModelError: it does not run on what it is given, whatever it attends by.

    """
    try:
        with using(model, "eager"):
            return run(model, feed)
    except MaskcError:
        raise
    except Exception as error:
        message = f"{type(model).__name__} does not run on {', '.join(feed)}: {error}"
        help = "give it what its `forward` takes: `probe={...}`"
        raise ModelError("M904", message.splitlines()[0], help=help) from error


def run(model: PreTrainedModel, feed: Mapping[str, Any]) -> Tensor:
    """Return the first output of a model, without gradients, dropout or a cache."""
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


def largest_difference(got: Tensor, expected: Tensor, feed: Mapping[str, Any]) -> float:
    """Return the largest difference of two outputs in the rows that hold tokens."""
    difference = (got.float() - expected.float()).abs()
    rows = feed.get("decoder_attention_mask", feed.get("attention_mask"))
    if isinstance(rows, Tensor) and rows.shape == difference.shape[:2]:
        difference = difference[rows.bool()]
    return float(difference.max())
