"""The attentions of an encoder-decoder: in the encoder, in the decoder, and between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from maskc.errors import ModelError, did_you_mean
from maskc.integrations.transformers.forward.attached import Programs, check_programs, choose
from maskc.integrations.transformers.forward.recording import Call
from maskc.integrations.transformers.forward.texts import is_of_query
from maskc.program import Program

ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"

BY_PATH = "by_path"
"""The key under which a config keeps the programs of an encoder-decoder, by the paths of layers."""


def is_encoder_decoder(model: PreTrainedModel) -> bool:
    """Tell whether a model, or the whole that it shares its config with, has both."""
    return bool(getattr(model.config, "is_encoder_decoder", False))


def choose_by_role(
    model: PreTrainedModel, calls: Sequence[Call], given: Programs
) -> dict[nn.Module, Program | None]:
    """Return the program of each layer of an encoder-decoder; None: its own.

    Args:
        model: an encoder-decoder.
        calls: of its layers, with fewer tokens in the decoder than in the encoder or more.
        given: programs by role, ``{"encoder": ..., "decoder": ..., "cross": ...}``; each is a
            text or a program, a dict by the kind of layer, or a list.

    Raises:
        ModelError: it is not a dict of these, or a program of ``cross`` reads where a query stands.

    """
    roles = _roles(model, calls)
    found = list(dict.fromkeys(roles.values()))
    if not isinstance(given, Mapping):
        raise _several(model, found)
    for name in given:
        if name not in found:
            help = did_you_mean(name, found) or f"it has {', '.join(found)}"
            message = f"{type(model).__name__} has no attention called `{name}`"
            raise ModelError("M906", message, help=help)
        if given[name] is not None:
            check_programs(given[name])
    chosen = {
        layer: choose(one, layer)
        for layer, role in roles.items()
        if (one := given.get(role)) is not None
    }
    for layer, program in chosen.items():
        if program is not None and roles[layer] == CROSS:
            _check_cross(program)
    return {layer: chosen.get(layer) for layer in roles}


def _roles(model: PreTrainedModel, calls: Sequence[Call]) -> dict[nn.Module, str]:
    """Return the role of each layer.

    Raises:
        ModelError: queries are as many in encoder and decoder, so that nothing tells them apart.

    """
    encoder = set(model.get_encoder().modules())
    lengths = {call.layer in encoder: call.query.shape[2] for call in calls}
    if len(set(lengths.values())) < len(lengths):
        message = "the probe has as many tokens for the decoder as for the encoder"
        help = "give it more of one, so that attention between them shows by its lengths"
        raise ModelError("M904", message, help=help)
    return {
        call.layer: CROSS if call.is_cross else ENCODER if call.layer in encoder else DECODER
        for call in calls
    }


def _several(model: PreTrainedModel, roles: Sequence[str]) -> ModelError:
    message = f"{type(model).__name__} attends in several ways: {', '.join(roles)}"
    named = ", ".join(f'"{role}": ...' for role in roles)
    help = f"name them, or some: `attach(model, {{{named}}})`"
    return ModelError("M906", message, help=help)


def _check_cross(program: Program) -> None:
    """Refuse a program that reads where a query stands.

    Raises:
        ModelError: a model does not tell its cross attention how many tokens it has written.

    """
    if is_of_query(program):
        message = "a program for `cross` reads `q`, which no layer is told while it decodes"
        help = "ask of the key alone, such as `keep[k]`: its position is that in the encoder"
        raise ModelError("M906", message, help=help)


def by_path(model: PreTrainedModel, chosen: Mapping[nn.Module, Program | None]) -> dict[str, Any]:
    """Return the programs of layers as a config keeps them."""
    paths = {layer: path for path, layer in model.named_modules()}
    texts = {paths[layer]: program.text for layer, program in chosen.items() if program is not None}
    return {BY_PATH: texts}


def kept_for(texts: Mapping[str, str], path: str) -> str | None:
    """Return the text that a config keeps for a layer, also where the model is part of another."""
    found = {
        text
        for name, text in texts.items()
        if name == path or name.endswith(f".{path}") or path.endswith(f".{name}")
    }
    return found.pop() if len(found) == 1 else None
