"""Which layers of a model attend by which program."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

from torch import Tensor, nn

from maskc.errors import ModelError, did_you_mean
from maskc.integrations.diffusers.backend import register, several_tokens
from maskc.program import Program

Programs = str | Program | Mapping[str, str | Program]
"""A program for all layers, or programs by patterns of their paths, such as ``*.attn1``."""

BACKEND = "_attention_backend"
"""The attribute by which a processor names its backend."""
BEFORE = "maskc_before"
CROSS = "is_cross_attention"
"""What the attentions of some models say of themselves."""


def attach(
    model: nn.Module, program: Programs, *, inputs: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Let the layers of a model attend by a program.

    A mask that the model makes itself, of padded text for instance, holds besides.

    Args:
        model: of diffusers, or a part of one.
        program: for every layer; or programs by patterns of module paths, ``{"*.attn1": text}``,
            of which the first that fits a layer counts. Layers that none fits stay as they are.
        inputs: the tensors that the programs read.

    Returns:
        The model. Positions count the rows of q and k as the layer has them: where a model puts
        text tokens in front of the grid, write ``axis h, w from N``.

    Raises:
        ModelError: no layer goes through diffusers' dispatcher, a pattern fits none, layers that
            share a processor are given two programs, or one program is given for layers that attend
            to tokens of their own and to others.
        MaskcError: the text of a program is wrong.

    """
    layers = _layers(model)
    if not layers:
        message = f"no attention of {type(model).__name__} goes through diffusers' dispatcher"
        help = "its processors attend by code of their own, so no program can take their place"
        raise ModelError("M901", message, help=help)
    chosen = _chosen(program, layers)
    _check_own_processors(chosen, layers)
    is_for_all = not isinstance(program, Mapping)
    given = {
        text: register(text, inputs or {}, is_for_all=is_for_all)
        for text in dict.fromkeys(chosen.values())
    }
    for path, text in chosen.items():
        own = vars(layers[path].processor)
        own.setdefault(BEFORE, getattr(layers[path].processor, BACKEND))
        own[BACKEND] = given[text]
    return model


def detach(model: nn.Module) -> nn.Module:
    """Let a model attend as it did before ``attach``."""
    for layer in _layers(model).values():
        own = vars(layer.processor)
        if BEFORE in own:
            own[BACKEND] = own.pop(BEFORE)
    return model


def _layers(model: nn.Module) -> dict[str, Any]:
    """Return the modules whose processor names a backend, by their paths."""
    return {
        path: module
        for path, module in model.named_modules()
        if hasattr(getattr(module, "processor", None), BACKEND)
    }


def _chosen(given: Programs, layers: Mapping[str, Any]) -> dict[str, str | Program]:
    """Return the program of each layer that gets one, by its path.

    Raises:
        ModelError: a pattern fits no layer, or one program is given for different attentions.

    """
    if not isinstance(given, Mapping):
        cross = [path for path, layer in layers.items() if getattr(layer, CROSS, False)]
        if cross and len(cross) < len(layers):
            raise several_tokens(cross[0])
        given = {"*": given}
    for pattern in given:
        if not any(fnmatch(path, pattern) for path in layers):
            found = sorted({f"*.{path.rpartition('.')[2]}" for path in layers})
            help = did_you_mean(pattern, found) or f"there are {', '.join(found)}"
            raise ModelError("M906", f"no layer fits `{pattern}`", help=help)
    chosen = {}
    for path in layers:
        for pattern, text in given.items():
            if fnmatch(path, pattern):
                chosen[path] = text
                break
    return chosen


def _check_own_processors(chosen: Mapping[str, str | Program], layers: Mapping[str, Any]) -> None:
    """Refuse different programs for layers that share a processor, which names one backend.

    Raises:
        ModelError: it names two of the layers.

    """
    first: dict[int, str] = {}
    for path, layer in layers.items():
        other = first.setdefault(id(layer.processor), path)
        if chosen.get(path) != chosen.get(other):
            message = f"`{other}` and `{path}` share a processor, and are to attend in two ways"
            help = "give each layer its own: `layer.set_processor(copy(layer.processor))`"
            raise ModelError("M906", message, help=help)
