"""Put a program in the place of a model's attention, and take it out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any, TypeVar

from torch import Tensor, nn
from transformers import PreTrainedModel

from maskc.errors import ModelError
from maskc.integrations.transformers.comparison import check_alike, expected_of, run_by_maskc
from maskc.integrations.transformers.feeds import checked_feed, default_feed, run
from maskc.integrations.transformers.forward.attached import (
    ATTRIBUTE,
    Programs,
    check_count,
    check_inputs,
    check_kinds,
    check_programs,
    choose,
    put,
    texts,
)
from maskc.integrations.transformers.forward.recording import Call, recorded
from maskc.integrations.transformers.implementation import names, not_on_interface, switch
from maskc.integrations.transformers.roles import by_path, choose_by_role, is_encoder_decoder
from maskc.integrations.transformers.wrapped import model_in
from maskc.program import Program

Model = TypeVar("Model", bound=nn.Module)

BEFORE = "maskc_before"
TEXTS = "maskc"
"""The attribute of a config that keeps attached programs, and is saved with it."""

MADE_BY_MODEL = frozenset({"allowed", "chosen", "prepared"})
"""Inputs by which a layer hides keys, where it makes a mask of its own."""


def attach(
    model: Model,
    program: Programs | None = None,
    *,
    inputs: Mapping[str, Tensor] | None = None,
    probe: Mapping[str, Any] | None = None,
) -> Model:
    """Let a model attend by maskc; with a program, by that in the place of its own mask.

    The model is run on a few tokens first: by its own eager attention, and by its own mask as a
    program. What differs is refused, so that a program reaches the scores when it is attached.

    A program says what a query may attend to. Padding and packed documents are kept apart besides,
    and positions count from the first token of a row or a document. What the model does to its
    scores (softcap, biases, sinks) stays, unless the program has a score or an epilogue itself.

    Args:
        model: of transformers, or a module around one (PEFT, ``torch.compile``).
        program: a text or a program for all layers; a dict of them by the kind of a layer
            (``sliding_attention``), where others keep their own mask; a list, one a layer, where
            None is a layer's own mask. For an encoder-decoder a dict of these:
            ``{"encoder": ..., "decoder": ..., "cross": ...}``. None: the model's own masks.
        inputs: the tensors that the programs read.
        probe: what to run the model on; text of a few tokens if None.

    Returns:
        The model. Its config keeps the texts, as ``config.maskc``, and is saved with them.

    Raises:
        ModelError: the model does not hand its attention over, or goes another way than eager.
        MaskcError: a program is wrong, or does not fit the model.

    """
    inside = model_in(model)
    _check_part(inside)
    if program is not None:
        check_programs(program)
    _check_inputs(inputs)
    feed = None if probe is None else checked_feed(inside, probe)
    before = vars(inside).get(BEFORE) or names(inside)
    with _all_or_nothing(inside):
        calls, seen = _probed(inside, feed)
        chosen = _choose(inside, calls, program, inputs or {})
        _check_replaced(calls, chosen, seen)
        if program is not None:
            run(inside, default_feed(inside) if feed is None else feed)
    vars(inside)[BEFORE] = before
    return model


def detach(model: Model) -> Model:
    """Let a model attend as it did before ``attach``."""
    inside = model_in(model)
    for layer in inside.modules():
        put(layer, None, {})
        _forget(layer)
    before = vars(inside).pop(BEFORE, None)
    if before is not None:
        inside.set_attn_implementation(before)
    return model


@contextmanager
def _all_or_nothing(model: PreTrainedModel) -> Iterator[None]:
    """Leave a model as it was if it cannot be attached to."""
    before = names(model)
    owners = [(vars(layer), ATTRIBUTE) for layer in model.modules()]
    owners += [(vars(config), TEXTS) for config in map(_config, model.modules()) if config]
    kept = [(owner, name, owner[name]) for owner, name in owners if name in owner]
    try:
        yield
    except BaseException:
        model.set_attn_implementation(before)
        for owner, name in owners:
            owner.pop(name, None)
        for owner, name, value in kept:
            owner[name] = value
        raise


def _probed(
    model: PreTrainedModel, feed: Mapping[str, Any] | None
) -> tuple[list[Call], Mapping[str, Any]]:
    """Return the calls of a model under its own masks, compared with eager, and what it ran on.

    Raises:
        ModelError: no layer calls, or the outputs differ.

    """
    for layer in model.modules():
        put(layer, None, {})
    given, expected = expected_of(model, feed)
    switch(model)
    with recorded() as calls:
        got = run_by_maskc(model, given)
    if not calls:
        raise not_on_interface(model)
    check_alike(model, given, [call.layer for call in calls], got, expected)
    return calls, given


def _choose(
    model: PreTrainedModel,
    calls: list[Call],
    program: Programs | None,
    inputs: Mapping[str, Tensor],
) -> dict[nn.Module, Program | None]:
    """Give each layer that attends its program, and let the configs keep the texts."""
    for layer in model.modules():
        _forget(layer)
    if program is None:
        return {}
    if is_encoder_decoder(model):
        chosen = choose_by_role(model, calls, program)
        setattr(model.config, TEXTS, by_path(model, chosen))
    else:
        _check_one_kind(model, calls)
        layers = list(dict.fromkeys(call.layer for call in calls))
        check_kinds(program, layers)
        check_count(program, layers)
        chosen = {layer: choose(program, layer) for layer in layers}
        for config in {id(layer.config): layer.config for layer in layers}.values():
            setattr(config, TEXTS, texts(program))
    check_inputs(chosen.values(), inputs)
    for layer, one in chosen.items():
        put(layer, one, inputs)
    return chosen


def _check_replaced(
    calls: list[Call], chosen: Mapping[nn.Module, Program | None], feed: Mapping[str, Any]
) -> None:
    """Refuse a program for a layer that hides keys by itself, besides the mask it is given.

    Raises:
        ModelError: the program could hide more, but show nothing that the layer hides.

    """
    if any(isinstance(mask, Tensor) and mask.dim() > 2 for mask in feed.values()):
        return  # the caller prepared a mask, and wants it besides
    for call in calls:
        if chosen.get(call.layer) is not None and not MADE_BY_MODEL.isdisjoint(call.inputs):
            message = f"{type(call.layer).__name__} works on its mask, or chooses keys, by itself"
            help = "no program can take its place; `attach(model)` runs the model's own"
            raise ModelError("M902", message, help=help)


def _check_inputs(inputs: object) -> None:
    """Refuse what is no dict of inputs.

    Raises:
        ModelError: it says what was expected.

    """
    if not (inputs is None or isinstance(inputs, Mapping)):
        message = f"expected a dict of inputs, found {type(inputs).__name__}"
        raise ModelError("M906", message, help='such as `inputs={"gate": tensor}`')


def _check_part(model: PreTrainedModel) -> None:
    """Refuse a part of an encoder-decoder that shares the config of the whole.

    Raises:
        ModelError: what is done to the config of the part would be done to the whole.

    """
    if is_encoder_decoder(model) and "decoder_input_ids" not in signature(model.forward).parameters:
        message = f"{type(model).__name__} is a part of an encoder-decoder, and shares its config"
        help = 'attach to the whole: `attach(model, {"encoder": ..., "decoder": ...})`'
        raise ModelError("M906", message, help=help)


def _check_one_kind(model: PreTrainedModel, calls: list[Call]) -> None:
    """Refuse to give one program to several kinds of attention, as of text and images.

    Raises:
        ModelError: it names the parts that have an attention.

    """
    if len({type(call.layer) for call in calls}) == 1 and not any(call.is_cross for call in calls):
        return
    called = {call.layer for call in calls}
    own: list[str] = []
    for path, part in model.named_modules():
        is_one = len({type(layer) for layer in called & set(part.modules())}) == 1
        inside = any(path.startswith(f"{outer}.") for outer in own)
        if isinstance(part, PreTrainedModel) and is_one and not inside:
            own.append(path)
    names = ", ".join(f"`model.{path}`" for path in own) or "none that is a model itself"
    classes = ", ".join(sorted({type(layer).__name__ for layer in called}))
    message = f"{type(model).__name__} attends in several ways: {classes}"
    raise ModelError("M906", message, help=f"attach to one of its parts: {names}")


def _forget(layer: nn.Module) -> None:
    config = _config(layer)
    if config is not None:
        vars(config).pop(TEXTS, None)


def _config(layer: nn.Module) -> Any:
    return getattr(layer, "config", None)
