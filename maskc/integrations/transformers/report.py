"""A table of what a model attends to: layers, text, sparsity, and the backend it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from maskc.errors import BindError
from maskc.integrations.given import count_of
from maskc.integrations.transformers.forward.recording import Call
from maskc.integrations.transformers.programs import calls_by_path
from maskc.program import Program

UNKNOWN = "-"


def report(model: nn.Module, length: int = 4096, **probe: Any) -> str:
    """Return a table of the layers of a model, those that attend alike in one line.

    Args:
        model: of transformers, or a module around one.
        length: the tokens for which sparsity is told, the share of tiles without a pair, and the
            backend that ``auto`` takes.
        **probe: what to run the model on, to see what it does.

    Raises:
        BindError: the length is no number of tokens.
        ModelError: the model does not hand its attention over.

    """
    length = count_of("length", length, 1)
    alike: dict[Program, list[tuple[str, Call]]] = {}
    for path, call in calls_by_path(model, probe).items():
        alike.setdefault(call.program, []).append((path, call))
    rows = [("layers", f"empty at {length}", "backend", "program")]
    for program, found in alike.items():
        text = "; ".join(program.text.splitlines())
        rows.append((_shown(path for path, _ in found), *_cost(found[0][1], length), text))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(part.ljust(width) for part, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


def _shown(paths: Iterable[str]) -> str:
    """Return paths that differ by a number as one, with their numbers."""
    grouped: dict[str, list[int]] = {}
    for path in paths:
        parts = path.split(".")
        number = next((part for part in parts if part.isdigit()), None)
        name = path if number is None else path.replace(f".{number}.", ".*.", 1)
        grouped.setdefault(name, []).append(-1 if number is None else int(number))
    return ", ".join(
        name if numbers == [-1] else f"{name} ({_ranges(numbers)})"
        for name, numbers in grouped.items()
    )


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as ``0-3, 5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _cost(call: Call, length: int) -> tuple[str, str]:
    """Return the sparsity and the backend of a layer at a length, where its inputs allow."""
    query, key = (_stretched(tensor, length) for tensor in (call.query, call.key))
    late = {name: call.inputs[name] for name in call.bound.call_inputs}
    given = {name: value for name, value in call.inputs.items() if name not in late}
    try:
        bound = call.program.bind_to(query, key, **given)
    except BindError:
        return UNKNOWN, UNKNOWN  # an input of the probe is too short for this length
    try:
        backend: str = bound.choice(query, key, key, **late).backend
    except BindError:
        backend = UNKNOWN
    return f"{bound.sparsity:.0f} %", backend


def _stretched(tensor: Tensor, length: int) -> Tensor:
    """Return a tensor of another length, which holds nothing."""
    batch, heads, _, width = tensor.shape
    return tensor.new_empty(()).expand(batch, heads, length, width)
