"""Whether a model does by maskc what it does by its own eager attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from maskc.errors import MaskcError, ModelError
from maskc.integrations.transformers.feeds import default_feed, run
from maskc.integrations.transformers.implementation import using

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""The difference from eager that an output may show, as a share of the largest."""
COARSE_TOLERANCE = 0.1


def expected_of(
    model: PreTrainedModel, feed: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any], Tensor]:
    """Return what a model is run on, and what it gives by its own eager attention.

    Args:
        model: of transformers.
        feed: what to run it on; text of a few tokens if None, with padding where eager gives
            numbers then. In float64 it does not: the least float64 is none of the float32 in
            which many models take their softmax.

    Raises:
        ModelError: it does not run, or gives no numbers.

    """
    given = default_feed(model) if feed is None else feed
    expected = run_eager(model, given)
    if feed is None and not _is_finite(expected, given):
        given = {name: value for name, value in given.items() if name != "attention_mask"}
        expected = run_eager(model, given)
    if not _is_finite(expected, given):
        message = f"the eager attention of {type(model).__name__} gives numbers that are not finite"
        help = "nothing can be compared with them: see its weights, or run it on something else"
        raise ModelError("M904", message, help=help)
    return given, expected


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


def run_by_maskc(model: PreTrainedModel, feed: Mapping[str, Any]) -> Tensor:
    """Return the first output of a model that attends by maskc.

    Raises:
        ModelError: it does not run on what it is given, or its code fails on our masks alone.

    """
    try:
        return run(model, feed)
    except MaskcError:
        raise
    except Exception as error:
        run_eager(model, feed)
        message = f"{type(model).__name__} cannot take a mask of another kind: {error}"
        help = "its code works on masks itself: take `eager` for it"
        raise ModelError("M902", message.splitlines()[0], help=help) from error


def check_alike(
    model: PreTrainedModel,
    feed: Mapping[str, Any],
    layers: Sequence[nn.Module],
    got: Tensor,
    expected: Tensor,
) -> None:
    """Refuse a model that does something else by maskc than by eager.

    Args:
        model: of transformers, with maskc as its attention.
        feed: what it was run on.
        layers: that attended.
        got: what it gave by maskc.
        expected: what it gave by eager.

    Raises:
        ModelError: the outputs differ, and each layer by itself does, too.

    """
    if _is_near(got, expected, feed) or _are_near_by_layer(model, feed, layers):
        return
    message = (
        f"{type(model).__name__} differs from its own eager attention by "
        f"{largest_difference(got, expected, feed):.2g} in outputs of up to "
        f"{float(_of_tokens(expected, feed).abs().max()):.2g}"
    )
    help = "some of its layers go another way for masks of other kinds: take `eager` for it"
    raise ModelError("M902", message, help=help)


def largest_difference(got: Tensor, expected: Tensor, feed: Mapping[str, Any]) -> float:
    """Return the largest difference of two outputs in the rows that hold tokens."""
    difference = (got.float() - expected.float()).abs()
    return float(_of_tokens(difference, feed).max())


def _of_tokens(output: Tensor, feed: Mapping[str, Any]) -> Tensor:
    rows = _rows_of_tokens(output, feed)
    return output if rows is None else output[rows]


def _with_tokens_of(output: Tensor, other: Tensor, feed: Mapping[str, Any]) -> Tensor:
    """Return an output with the rows that hold tokens from another.

    In rows of padding eager gives something else, and there are layers that read them later.
    """
    rows = _rows_of_tokens(output, feed)
    if rows is None:
        return other
    mixed = output.clone()
    mixed[rows] = other[rows]
    return mixed


def _rows_of_tokens(output: Tensor, feed: Mapping[str, Any]) -> Tensor | None:
    """Return which rows of an output hold tokens; None where all do, or nobody knows."""
    rows = feed.get("decoder_attention_mask", feed.get("attention_mask"))
    is_known = isinstance(rows, Tensor) and rows.shape == output.shape[:2]
    return rows.bool() if is_known else None


def _is_finite(output: Tensor, feed: Mapping[str, Any]) -> bool:
    return bool(_of_tokens(output, feed).isfinite().all())


def _is_near(got: Tensor, expected: Tensor, feed: Mapping[str, Any]) -> bool:
    if got.shape != expected.shape:
        return False
    scale = float(_of_tokens(expected, feed).abs().max())
    share = TOLERANCE.get(expected.dtype, COARSE_TOLERANCE)
    return largest_difference(got, expected, feed) <= share * max(scale, 1e-6)


def _are_near_by_layer(
    model: PreTrainedModel, feed: Mapping[str, Any], layers: Sequence[nn.Module]
) -> bool:
    """Tell whether a model does as eager does where each layer gets what it gets there.

    A rounding in one layer may send a token to other experts in the next, and then outputs of
    bfloat16 have nothing in common. So each layer gives what it gives by eager, after a look at
    what it would have given by maskc; what lies between the layers is compared by the output.
    """
    kept: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: nn.Module, output: Tensor) -> Tensor:
        kept[layer].append(output)
        return output

    with _seen_outputs(layers, keep):
        expected = run_eager(model, feed)
    differs: list[nn.Module] = []

    def compare(layer: nn.Module, output: Tensor) -> Tensor:
        wanted = kept[layer].pop(0) if kept[layer] else None
        if wanted is not None and _is_near(output, wanted, feed):
            return _with_tokens_of(output, wanted, feed)
        differs.append(layer)
        return output

    with _seen_outputs(layers, compare):
        got = run(model, feed)
    return not differs and _is_near(got, expected, feed)


@contextmanager
def _seen_outputs(
    layers: Sequence[nn.Module], see: Callable[[nn.Module, Tensor], Tensor]
) -> Iterator[None]:
    """Let a function see, and replace, what layers give."""

    def hook(layer: nn.Module, _: Any, output: Any) -> Any:
        match output:
            case Tensor():
                return see(layer, output)
            case (Tensor() as first, *rest):
                return (see(layer, first), *rest)
            case _:
                return None

    with ExitStack() as stack:
        for layer in dict.fromkeys(layers):
            stack.callback(layer.register_forward_hook(hook).remove)
        yield
