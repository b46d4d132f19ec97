"""Which program a layer runs in the place of its own, and with which tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from maskc.errors import BindError, ModelError, did_you_mean
from maskc.options import EmptyRows
from maskc.program import Program, compile_mask

Programs = str | Program | Mapping[str, str | Program | None] | Sequence[str | Program | None]
"""A program for all layers, one for each kind of layer, or one for each layer; None: its own."""

ATTRIBUTE = "maskc_attached"

RESERVED = (
    "allowed",
    "attention_mask",
    "chosen",
    "document",
    "position_bias",
    "prepared",
    "s_aux",
    "sink_logits",
    "written",
)
"""Inputs that the layers give themselves."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A program in the place of a layer's own, as a graph can read it.

    Attributes:
        text: the program.
        empty_rows: what its rows without a key give.
        inputs: the tensors that it reads.

    """

    text: str
    empty_rows: EmptyRows
    inputs: Mapping[str, Tensor]


def attached_to(layer: nn.Module) -> Attached | None:
    """Return what was attached to a layer; None where it runs its own mask."""
    return getattr(layer, ATTRIBUTE, None)


def put(layer: nn.Module, program: Program | None, inputs: Mapping[str, Any]) -> None:
    """Let a layer run a program; None: its own."""
    if program is None:
        vars(layer).pop(ATTRIBUTE, None)
    else:
        names = {declared.name for declared in program.inputs}
        read = {name: value for name, value in inputs.items() if name in names}
        vars(layer)[ATTRIBUTE] = Attached(program.text, program.empty_rows, read)


def choose(given: Programs, layer: nn.Module) -> Program | None:
    """Return the program of a layer; None: it keeps its own.

    Raises:
        MaskcError: the text is wrong, or a list ends before the layer.

    """
    if isinstance(given, str | Program):
        return _compiled(given, layer)
    if isinstance(given, Mapping):
        return _compiled(given.get(kind_of(layer)), layer)
    index = index_of(layer)
    if index is None or index >= len(given):
        where = "no number" if index is None else f"number {index}"
        message = f"{len(given)} programs are given, and a layer has {where}"
        raise ModelError("M906", message, help="give one program for each layer, or one for all")
    return _compiled(given[index], layer)


def kind_of(layer: nn.Module) -> str:
    """Return the kind of a layer as its config calls it, such as ``sliding_attention``."""
    for name in ("layer_type", "attention_type"):
        if isinstance(kind := getattr(layer, name, None), str):
            return kind
    kinds = getattr(getattr(layer, "config", None), "layer_types", None)
    index = index_of(layer)
    if kinds and index is not None and index < len(kinds):
        return str(kinds[index])
    return "full_attention"


def index_of(layer: nn.Module) -> int | None:
    """Return the number of a layer in its model."""
    index = getattr(layer, "layer_idx", None)
    return index if isinstance(index, int) else None


def check_programs(given: object) -> None:
    """Refuse what is neither a program nor several of them.

    Raises:
        ModelError: it says what was expected.

    """
    is_one = isinstance(given, str | Program | Mapping | Sequence)
    if isinstance(given, bytes) or not is_one:
        message = f"expected a program, a dict or a list of them, found {type(given).__name__}"
        raise ModelError("M906", message, help='such as `attach(model, "causal & window(512)")`')
    if isinstance(given, Mapping | Sequence) and not given and not isinstance(given, str):
        help = "`attach(model)` runs the model's own masks"
        raise ModelError("M906", f"the {type(given).__name__} names no program", help=help)


def check_kinds(given: Programs, layers: Sequence[nn.Module]) -> None:
    """Refuse a mapping that names a kind of layer which the model has not.

    Raises:
        ModelError: it names what the model has.

    """
    if isinstance(given, Mapping):
        kinds = sorted({kind_of(layer) for layer in layers})
        for name in given:
            if name not in kinds:
                help = did_you_mean(name, kinds) or f"it has {', '.join(kinds)}"
                raise ModelError("M906", f"the model has no layers of kind `{name}`", help=help)


def check_count(given: Programs, layers: Sequence[nn.Module]) -> None:
    """Refuse a list that is longer than the model.

    Raises:
        ModelError: it says how many layers there are.

    """
    if isinstance(given, str | Program | Mapping):
        return
    numbers = [index_of(layer) or 0 for layer in layers]
    declared = [getattr(layer.config, "num_hidden_layers", 0) or 0 for layer in layers]
    count = max(*declared, max(numbers) + 1)
    if len(given) > count:
        message = f"{len(given)} programs are given for {count} layers"
        raise ModelError("M906", message, help="give one program for each layer, or one for all")


def check_inputs(chosen: Iterable[Program | None], inputs: Mapping[str, Any]) -> None:
    """Refuse programs whose inputs are not all given, and inputs that none of them reads.

    Raises:
        BindError: it names the first.

    """
    declared = {one.name for program in chosen if program is not None for one in program.inputs}
    for name in sorted(declared - inputs.keys()):
        give = f'give it: `attach(..., inputs={{"{name}": ...}})`'
        help = did_you_mean(name, list(inputs)) or give
        raise BindError("M402", f"input `{name}` is missing", help=help)
    for name in inputs:
        if name not in declared:
            listed = ", ".join(f"`{one}`" for one in sorted(declared)) or "none"
            help = f"the inputs of what is attached: {listed}"
            raise BindError("M401", f"no program has an input `{name}`", help=help)


def texts(given: Programs | None) -> Any:
    """Return programs as their config keeps them: as texts."""
    match given:
        case str() | None:
            return given
        case Program():
            return given.text
        case Mapping():
            return {kind: texts(one) for kind, one in given.items()}
        case _:
            return [texts(one) for one in given]


def _compiled(program: str | Program | None, layer: nn.Module) -> Program | None:
    if program is None:
        return None
    compiled = program if isinstance(program, Program) else compile_mask(program)
    for declared in compiled.inputs:
        if declared.name in RESERVED:
            message = f"`{declared.name}` is an input that the layers give themselves"
            raise ModelError("M906", message, help="rename the input of the program")
    index = index_of(layer)
    return compiled if index is None else compiled.for_layer(index)
