"""What has no translation but depends on one index alone: its values at every row, as an input.

A symbol remembers how it came to be. Where the sizes of the call are known, the steps that lead to
an operation are run again by ``vmap`` over all rows of the index, and the result is a table that
the program subscripts by the index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from maskc.errors import TraceError
from maskc.ir.nodes import Index
from maskc.ir.types import Ix
from maskc.tracing.callables.refusals import TABLE_CODES
from maskc.tracing.run.context import Context
from maskc.tracing.run.steps import Row, Step, Table
from maskc.tracing.run.symbol import Symbol, row_symbol, symbols

SIZE_OF = {Ix.BATCH: "batch_size", Ix.HEAD: "num_heads", Ix.Q: "q_len", Ix.K: "kv_len"}
"""The size of the call that says how many rows an index has."""


_TORCH_ERRORS = (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError)


def remember(
    found: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Let the symbols of a result know how it came to be."""
    along = _along(args, kwargs)
    if isinstance(found, Symbol):
        found.step = Step(along, function, args, kwargs)
    elif isinstance(found, tuple | list):
        for index, part in enumerate(found):
            part.step = Step(along, _part(function, index), args, kwargs)
    return found


def table_instead(
    error: TraceError,
    context: Context,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Symbol:
    """Return the table of an operation without a translation; its values come after the run.

    Raises:
        TraceError: ``error``, where a table cannot stand for it.

    """
    along = _along(args, kwargs)
    if error.code not in TABLE_CODES or along is None or len(along) != 1:
        raise error
    (which,) = along
    count = context.sizes.get(SIZE_OF[which])
    if count is None:
        raise error.noting(f"with `sizes=` given, it would be a table over `{which.value}`")
    step = Step(along, function, args, kwargs)
    first = _first(step, context.device)
    if first is None:
        raise error
    empty = torch.empty((count, *first.shape), dtype=first.dtype, device="meta")
    name = getattr(getattr(function, "overloadpacket", function), "__name__", "table").strip("_")
    context.add_table(Table(f"{name}_{which.value}", empty, step, error))
    result = row_symbol(context, Row(empty, (Index(which), *[None] * first.dim())))
    result.step = step
    return result


def values_of(table: Table, device: torch.device) -> Tensor:
    """Return the values of a table.

    Torch cannot vectorise while it dispatches an operation, so this waits until the run is over.

    Raises:
        TraceError: torch cannot vectorise the steps that lead there.

    """
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    rows = torch.arange(table.empty.shape[0], device=device)
    try:
        with TransformGetItemToIndex():
            result: Tensor = torch.vmap(lambda row: _replayed(table.step, row, {}))(rows)
    except _TORCH_ERRORS as error:
        raise table.refusal from error
    return result


def _first(step: Step, device: torch.device) -> Tensor | None:
    """Return a step's value at row 0, or None where it has none that is a tensor."""
    try:
        result = _replayed(step, torch.zeros((), dtype=torch.int64, device=device), {})
    except _TORCH_ERRORS:
        return None
    return result if isinstance(result, Tensor) else None


def _along(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> frozenset[Ix] | None:
    """Return the indices that the arguments depend on; None where the score is among them."""
    result: frozenset[Ix] = frozenset()
    for part in symbols((*args, *kwargs.values())):
        if part.step.along is None:
            return None
        result |= part.step.along
    return result


def _part(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(*args, **kwargs)[place]


def _replayed(step: Step, row: Tensor, memo: dict[Step, Any]) -> Any:
    """Return the value of a step where its index is ``row``."""
    if step.function is None:
        return row
    if step not in memo:

        def put(value: Any) -> Any:
            if isinstance(value, Symbol):
                return _replayed(value.step, row, memo)
            if isinstance(value, tuple | list):
                return type(value)(put(part) for part in value)
            return value

        keywords = {name: put(value) for name, value in (step.kwargs or {}).items()}
        memo[step] = step.function(*put(step.args), **keywords)
    return memo[step]
