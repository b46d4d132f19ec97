"""Which implementation a model attends by, with its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from maskc.errors import ModelError

NAME = "maskc"


def names(model: PreTrainedModel) -> dict[str, Any]:
    """Return what a model and its parts attend by, as ``set_attn_implementation`` takes it."""
    return _names(model.config)


def _names(config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"": config._attn_implementation}
    for key in config.sub_configs:
        part = getattr(config, key, None)
        if part is not None and part._attn_implementation is not None:
            found[key] = _names(part)
    return found


@contextmanager
def using(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Let a model attend by an implementation."""
    before = names(model)
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def switch(model: PreTrainedModel) -> None:
    """Let a model attend by maskc.

    Raises:
        ModelError: transformers cannot switch it.

    """
    if not type(model)._can_set_attn_implementation():
        raise not_on_interface(model)
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        raise not_on_interface(model)


def not_on_interface(model: PreTrainedModel) -> ModelError:
    """Return the error for a model whose attention nobody can replace."""
    message = f"{type(model).__name__} does not call transformers' attention interface"
    help = "its layers attend by code of their own, so no attention can be put in their place"
    return ModelError("M901", message, help=help)
