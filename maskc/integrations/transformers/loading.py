"""Models that are loaded with a program in their config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from transformers import PreTrainedModel

from maskc.errors import MaskcWarning, warn
from maskc.integrations.transformers.attach import TEXTS
from maskc.integrations.transformers.forward.attached import choose, index_of, put
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
    """Give the layers of a model the programs of its config, or warn that they will not run."""
    for config in {id(one): one for one in _configs(model)}.values():
        given = getattr(config, TEXTS, None)
        if given is None:
            continue
        if config._attn_implementation != NAME:
            warn(
                MaskcWarning(
                    "M707",
                    f"the config has a program for maskc, and the model attends by "
                    f"`{config._attn_implementation}`",
                    help='load it with `attn_implementation="maskc"`, or `del config.maskc`',
                )
            )
            continue
        if isinstance(given, Mapping) and BY_PATH in given:
            _restore_by_path(model, given[BY_PATH])
            continue
        for layer in model.modules():
            if getattr(layer, "config", None) is config and index_of(layer) is not None:
                put(layer, choose(given, layer), {})


def _restore_by_path(model: PreTrainedModel, kept: Mapping[str, str]) -> None:
    """Give layers their programs; a whole model comes after its parts, and knows whole paths."""
    for path, layer in model.named_modules():
        text = kept_for(kept, path)
        put(layer, None if text is None else compile_mask(text), {})


def _configs(model: PreTrainedModel) -> list[Any]:
    own = model.config
    parts = [getattr(own, key, None) for key in own.sub_configs]
    return [own, *[part for part in parts if part is not None]]
