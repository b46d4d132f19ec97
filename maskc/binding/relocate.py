"""Move a binding to a device, or slice it by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from maskc.binding.call import CallSpec, find_device
from maskc.errors import LoweringError
from maskc.ir.nodes import Expr, Load, children, walk
from maskc.ir.rows import BATCH, K_POSITION, Q_POSITION, Position
from maskc.ir.types import Sz

Given = dict[str, Any]

_BATCHED = (Position.BATCH_OFFSET, Position.BATCH_TABLE)


def moved(
    spec: CallSpec, given: Mapping[str, Any], device: torch.device | str
) -> tuple[CallSpec, Given]:
    """Return a call spec and its inputs with all tensors on ``device``."""
    target = find_device(device)
    tensors = {name: tensor.to(target) for name, tensor in spec.tensors.items()}
    elsewhere = {name: _each(value, lambda t: t.to(target)) for name, value in given.items()}
    return replace(spec, tensors=tensors, device=target), elsewhere


def sliced(
    roots: Iterable[Expr], spec: CallSpec, given: Mapping[str, Any], start: int, stop: int
) -> tuple[CallSpec, Given]:
    """Return a call spec and its inputs for the batches ``start`` to ``stop`` alone.

    Args:
        roots: the program, over logical positions.
        spec: the call of all batches.
        given: its inputs.
        start: the first batch.
        stop: the batch after the last.

    Raises:
        LoweringError: the program computes with the number of a batch, which would change.

    """
    sizes = {**spec.sizes, Sz.BATCH_SIZE: stop - start}
    tensors = dict(spec.tensors)
    for position, table in ((spec.q, Q_POSITION), (spec.k, K_POSITION)):
        if position in _BATCHED:
            tensors[table.name] = tensors[table.name][start:stop]
    kept = dict(given)
    for load in (term for term in walk(*roots) if isinstance(term, Load)):
        if (name := load.input.name) in given:
            kept[name] = _each(given[name], partial(_cut, load=load, start=start, stop=stop))
    _refuse_computed(roots)
    return replace(spec, sizes=sizes, tensors=tensors), kept


def batch_sizes(roots: Iterable[Expr], given: Mapping[str, Any]) -> dict[str, int]:
    """Return how many batches those of the inputs hold that do not hold one for all."""
    result: dict[str, int] = {}
    for load in (term for term in walk(*roots) if isinstance(term, Load)):
        value = given.get(load.input.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, torch.Tensor):
                for dim in _batch_dims(part, load):
                    result[load.input.name] = part.shape[dim]
    return result


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``change`` to a tensor, or to both of a pair; numbers stay as they are."""
    if isinstance(value, tuple):
        return tuple(_each(part, change) for part in value)
    return change(value) if isinstance(value, torch.Tensor) else value


def _cut(tensor: Tensor, load: Load, start: int, stop: int) -> Tensor:
    """Return the part of an input that batches from ``start`` to ``stop`` read."""
    for dim in _batch_dims(tensor, load):
        tensor = tensor.narrow(dim, start, stop - start)
    return tensor


def _batch_dims(tensor: Tensor, load: Load) -> list[int]:
    """Return the dimensions of an input that the number of a batch subscripts."""
    front = tensor.dim() - len(load.indices)
    dims = [dim for dim, index in enumerate(load.indices, start=front) if index == BATCH]
    return [dim for dim in [*range(front), *dims] if tensor.shape[dim] > 1]


def _refuse_computed(roots: Iterable[Expr]) -> None:
    for term in walk(*roots):
        inside = [kid for kid in children(term) if kid == BATCH]
        if (term == BATCH and term in roots) or (inside and not isinstance(term, Load)):
            raise LoweringError(
                "M509",
                "the program computes with `batch`, whose numbers a microbatch changes",
                term.span,
                "pass what depends on the batch as an input",
            )
