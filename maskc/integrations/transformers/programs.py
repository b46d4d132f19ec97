"""What a model attends to, and whether it does as eager does."""

from __future__ import annotations

from typing import Any

from torch import nn

from maskc.errors import ModelError
from maskc.integrations.transformers.comparison import (
    expected_of,
    largest_difference,
    run_by_maskc,
)
from maskc.integrations.transformers.feeds import checked_feed, default_feed
from maskc.integrations.transformers.forward.recording import Call, recorded
from maskc.integrations.transformers.implementation import NAME, not_on_interface, using
from maskc.integrations.transformers.wrapped import model_in
from maskc.program import Program


def programs(model: nn.Module, **probe: Any) -> dict[str, Program]:
    """Return what each layer of a model attends to, by the path of its module.

    Args:
        model: of transformers, whatever it attends by, or a module around one.
        **probe: what to run it on; text of a few tokens without padding if nothing is given.

    Raises:
        ModelError: the model does not hand its attention over.

    """
    return {path: call.program for path, call in calls_by_path(model, probe).items()}


def calls_by_path(model: nn.Module, probe: dict[str, Any]) -> dict[str, Call]:
    """Return the call of each layer, by the path of its module.

    Raises:
        ModelError: the model does not hand its attention over.

    """
    inside = model_in(model)
    if not probe:
        probe = default_feed(inside)
        del probe["attention_mask"]
    checked_feed(inside, probe)
    with using(inside, NAME), recorded() as calls:
        run_by_maskc(inside, probe)
    if not calls:
        raise not_on_interface(inside)
    paths = {module: path for path, module in model.named_modules()}
    return {paths[call.layer]: call for call in calls}


def check(model: nn.Module, **feed: Any) -> float:
    """Return the largest difference of a model's output from that of its own eager attention.

    Rows of padding do not count. A model with another program attached differs by what that
    program changes.

    Args:
        model: of transformers, with maskc as its attention, or a module around one.
        **feed: what to run it on.

    Raises:
        ModelError: no layer of the model calls maskc, or it does not run on the feed.

    """
    inside = model_in(model)
    given, expected = expected_of(inside, checked_feed(inside, feed) if feed else None)
    with recorded() as calls:
        got = run_by_maskc(inside, given)
    if not calls:
        message = f"no layer of {type(inside).__name__} attends by maskc"
        help = 'call `attach(model)` before, or load it with `attn_implementation="maskc"`'
        raise ModelError("M904", message, help=help)
    return largest_difference(got, expected, given)
