"""What a model attends to, and whether it does as eager does."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from maskc.errors import ModelError
from maskc.integrations.transformers.feeds import (
    check_model,
    checked_feed,
    default_feed,
    largest_difference,
    run,
    run_eager,
)
from maskc.integrations.transformers.forward.recording import Call, recorded
from maskc.integrations.transformers.implementation import NAME, not_on_interface, using
from maskc.program import Program


def programs(model: PreTrainedModel, **probe: Any) -> dict[str, Program]:
    """Return what each layer of a model attends to, by the path of its module.

    Args:
        model: of transformers, whatever it attends by.
        **probe: what to run it on; text of a few tokens without padding if nothing is given.

    Raises:
        ModelError: the model does not hand its attention over.

    """
    return {path: call.program for path, call in calls_by_path(model, probe).items()}


def calls_by_path(model: PreTrainedModel, probe: dict[str, Any]) -> dict[str, Call]:
    """Return the call of each layer, by the path of its module.

    Raises:
        ModelError: the model does not hand its attention over.

    """
    check_model(model)
    if not probe:
        probe = default_feed(model)
        del probe["attention_mask"]
    checked_feed(model, probe)
    with using(model, NAME), recorded() as calls:
        run(model, probe)
    if not calls:
        raise not_on_interface(model)
    paths = {module: path for path, module in model.named_modules()}
    return {paths[call.layer]: call for call in calls}


def check(model: PreTrainedModel, **feed: Any) -> float:
    """Return the largest difference of a model's output from that of its own eager attention.

    Rows of padding do not count. A model with another program attached differs by what that
    program changes.

    Args:
        model: of transformers, with maskc as its attention.
        **feed: what to run it on.

    Raises:
        ModelError: no layer of the model calls maskc.

    """
    check_model(model)
    feed = feed or default_feed(model)
    expected = run_eager(model, checked_feed(model, feed))
    with recorded() as calls:
        got = run(model, feed)
    if not calls:
        message = f"no layer of {type(model).__name__} attends by maskc"
        help = 'call `attach(model)` before, or load it with `attn_implementation="maskc"`'
        raise ModelError("M904", message, help=help)
    return largest_difference(got, expected, feed)
