"""Models that are loaded with a program in their config."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import wraps
from typing import Any
from weakref import ref

from transformers import PreTrainedModel

from maskc.errors import MaskcError, MaskcWarning, warn
from maskc.integrations.transformers.attach import TEXTS
from maskc.integrations.transformers.forward.attached import (
    check_kinds,
    check_programs,
    choose,
    index_of,
    put,
)
from maskc.integrations.transformers.implementation import NAME
from maskc.integrations.transformers.roles import BY_PATH, kept_for
from maskc.program import compile_mask


def watch_loading() -> None:
    """See to it that every model is looked at when it has its layers.

    ``post_init`` is the last that every model calls while it is made. transformers has no hook
    there, so ours goes around it.
    """
    original = PreTrainedModel.post_init
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def post_init(self: PreTrainedModel, *args: Any, **keywords: Any) -> Any:
        result = original(self, *args, **keywords)
        restore(self)
        return result

    PreTrainedModel.post_init = post_init


def restore(model: PreTrainedModel) -> None:
    """Give the layers of a model the programs of its config, or warn that they do not run.

    Raises:
        MaskcError: the config has no programs for this model there.

    """
    for config in {id(one): one for one in _configs(model)}.values():
        given = getattr(config, TEXTS, None)
        if given is None:
            continue
        if config._attn_implementation == NAME:
            _put(model, config, given)
            continue
        with suppress(MaskcError):  # it may run later, and nobody asked for it now
            _put(model, config, given)
        _warn_once(config)


def _put(model: PreTrainedModel, config: Any, given: Any) -> None:
    check_programs(given)
    if isinstance(given, Mapping) and BY_PATH in given:
        _restore_by_path(model, given[BY_PATH])
        return
    layers = [
        layer
        for layer in model.modules()
        if getattr(layer, "config", None) is config and index_of(layer) is not None
    ]
    if layers:
        check_kinds(given, layers)
    for layer in layers:
        put(layer, choose(given, layer), {})


_warned: list[ref[Any]] = []
"""The config that was warned of last: a model and its parts have the same."""


def _warn_once(config: Any) -> None:
    if _warned and _warned[0]() is config:
        return
    _warned[:] = [ref(config)]
    warn(
        MaskcWarning(
            "M707",
            f"the config has a program for maskc, and the model attends by "
            f"`{config._attn_implementation}`",
            help='load it with `attn_implementation="maskc"`, or `del config.maskc`',
        )
    )


def _restore_by_path(model: PreTrainedModel, kept: Mapping[str, str]) -> None:
    """Give layers their programs; a whole model comes after its parts, and knows whole paths."""
    for path, layer in model.named_modules():
        text = kept_for(kept, path)
        put(layer, None if text is None else compile_mask(text), {})


def _configs(model: PreTrainedModel) -> list[Any]:
    own = model.config
    parts = [getattr(own, key, None) for key in own.sub_configs]
    return [own, *[part for part in parts if part is not None]]
