"""A small model against its own eager attention: plain, padded, packed, and under another mask."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from small_models import MAPPINGS, VOCABULARY, small_config
from torch import Tensor
from transformers import CONFIG_MAPPING, PreTrainedModel

import maskc
from maskc.integrations.transformers import attach
from maskc.integrations.transformers.comparison import largest_difference
from maskc.integrations.transformers.feeds import run
from maskc.integrations.transformers.forward.attached import put
from maskc.integrations.transformers.forward.recording import Call, recorded
from maskc.integrations.transformers.implementation import using

TOKENS = 24
LARGEST = 7_000_000
"""Parameters of the largest model that counts as small."""

EXACT = 2e-5
CHANGED = 0.1


class NotBuiltError(Exception):
    """A small config does not give a model of this type."""


@dataclass(frozen=True)
class Agreement:
    """What a type shows: the largest difference from eager in each case, and its programs."""

    differences: dict[str, float]
    control: float
    programs: tuple[str, ...]


def kinds(mapping: str) -> list[str]:
    """Return the types of a mapping; ``gpt2`` is in one of them twice."""
    return list(dict.fromkeys(config.model_type for config in MAPPINGS[mapping]))


def small_model(mapping: str, kind: str, **changes: Any) -> PreTrainedModel:
    """Return a small model with weights that let every mask show.

    Raises:
        NotBuiltError: it is not small, or does not build.

    """
    config = CONFIG_MAPPING[kind]  # no walk over the mapping, which imports every type
    cls = MAPPINGS[mapping][config]
    cls = cls[0] if isinstance(cls, tuple) else cls
    try:
        sized = small_config(config, **changes)
    except Exception as error:
        raise NotBuiltError(str(error)) from error
    try:
        return _built(cls, sized)
    except NotBuiltError:
        if hasattr(sized, "vocab_size"):
            raise
    try:
        return _built(cls, sized.get_text_config())  # a config of several parts, for one of them
    except ValueError as error:
        raise NotBuiltError(str(error)) from error


def _built(cls: Any, config: Any) -> PreTrainedModel:
    try:
        with torch.device("meta"):
            count = sum(weight.numel() for weight in cls(copy.deepcopy(config)).parameters())
        if count > LARGEST:
            raise NotBuiltError(f"{count} parameters")
        torch.manual_seed(0)
        model = with_large_weights(cls(config).eval())
        with using(model, "eager"):
            run(model, feeds(model)["plain"])
    except Exception as error:
        raise NotBuiltError(f"{type(error).__name__}: {error}") from error
    return model


def with_large_weights(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.is_floating_point() and "norm" not in name.lower().split(".")[-2:][0]:
                weight += 0.2 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model


def text(count: int = TOKENS) -> Tensor:
    return torch.randint(
        20, VOCABULARY - 10, (2, count), generator=torch.Generator().manual_seed(3)
    )


LENGTHS = (9, 4, 11)
"""Tokens of the documents that are packed in a row."""


def feeds(model: PreTrainedModel) -> dict[str, dict[str, Any]]:
    """Return the cases that a model is run on."""
    ids = text()
    padded = torch.ones_like(ids)
    padded[1, :7] = 0
    base: dict[str, Any] = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        base["decoder_input_ids"] = ids[:, :13].contiguous()
    found = {"plain": base, "padded": {**base, "attention_mask": padded}}
    if "position_ids" in inspect.signature(model.forward).parameters:
        positions = torch.cat([torch.arange(length) for length in LENGTHS]).expand(2, -1)
        found["packed"] = {**base, "position_ids": positions}
    return found


def agreement(model: PreTrainedModel) -> Agreement:
    """Compare a model with its own eager attention.

    A model that tells only its layers of packed documents is compared with a run of each document.

    Raises:
        ModelError: it is refused.

    """
    cases = feeds(model)
    with using(model, "eager"):
        expected = {case: run(model, feed) for case, feed in cases.items()}
    attach(model)
    with recorded() as calls:
        plain = run(model, cases["plain"])
    got = {case: plain if case == "plain" else run(model, cases[case]) for case in cases}
    differences = {case: relative(got[case], expected[case], feed) for case, feed in cases.items()}
    if differences.get("packed", 0) > EXACT:
        with using(model, "eager"):
            alone = documents_alone(model, cases["packed"]["input_ids"])
        differences["documents alone"] = relative(got["packed"], alone, {})
        del differences["packed"]
    texts = dict.fromkeys(call.program.text for call in calls)
    return Agreement(differences, control(model, calls, cases["plain"], plain), tuple(texts))


def relative(got: Tensor, expected: Tensor, feed: dict[str, Any]) -> float:
    """Return the largest difference in rows of tokens, of outputs that are large as their share."""
    return largest_difference(got, expected, feed) / max(1.0, float(expected.abs().max()))


def documents_alone(model: PreTrainedModel, ids: Tensor) -> Tensor:
    parts = ids.split(LENGTHS, dim=1)
    return torch.cat([run(model, {"input_ids": part}) for part in parts], 1)


def control(model: PreTrainedModel, calls: list[Call], feed: dict[str, Any], ours: Tensor) -> float:
    """Return how much the output changes where each token attends to itself or the first alone."""
    itself, first = maskc.compile_mask("q == k"), maskc.compile_mask("k == 0")
    for call in calls:
        put(call.layer, first if call.is_cross else itself, {})
    try:
        return float((run(model, feed) - ours).abs().max())
    finally:
        for call in calls:
            put(call.layer, None, {})
