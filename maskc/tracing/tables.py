"""What has no translation but depends on one index alone: its values at every row, as an input.

A symbol remembers how it came to be. Where the sizes of the call are known, the steps that lead to
an operation are run again by ``vmap`` over all rows of the index, and the result is a table that
the program subscripts by the index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskc.errors import TraceError
from maskc.ir.nodes import Index
from maskc.ir.types import Ix
from maskc.tracing.refuse import TABLE_CODES
from maskc.tracing.symbol import Row, Step, Symbol, row_symbol, symbols

if TYPE_CHECKING:
    from maskc.tracing.tracer import Tracer

SIZE_OF = {Ix.BATCH: "batch_size", Ix.HEAD: "num_heads", Ix.Q: "q_len", Ix.K: "kv_len"}
"""The size of the call that says how many rows an index has."""


def remember(
    found: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Let the symbols of a result know how it came to be."""
    along = _along(args, kwargs)
    if isinstance(found, Symbol):
        found.step = Step(along, function, args, kwargs)
    elif isinstance(found, tuple | list):
        for place, part in enumerate(found):
            part.step = Step(along, _part(function, place), args, kwargs)
    return found


def table_instead(
    error: TraceError,
    tracer: Tracer,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Symbol:
    """Return the table of an operation without a translation.

    Raises:
        TraceError: ``error``, where a table cannot stand for it.

    """
    along = _along(args, kwargs)
    if error.code not in TABLE_CODES or along is None or len(along) != 1:
        raise error
    (which,) = along
    count = tracer.sizes.get(SIZE_OF[which])
    if count is None:
        raise error.noting(f"with `sizes=` given, it would be a table over `{which.value}`")
    step = Step(along, function, args, kwargs)
    values = _values(step, which, count, tracer)
    if values is None:
        raise error
    name = getattr(getattr(function, "overloadpacket", function), "__name__", "table").strip("_")
    tracer.add_table(values, f"{name}_{which.value}")
    row = Row(values, (Index(which), *[None] * (values.dim() - 1)))
    found = row_symbol(tracer, row)
    found.step = step
    return found


def _along(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> frozenset[Ix] | None:
    """Return the indices that the arguments depend on; None where the score is among them."""
    found: frozenset[Ix] = frozenset()
    for part in symbols((*args, *kwargs.values())):
        if part.step.along is None:
            return None
        found |= part.step.along
    return found


def _part(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(*args, **kwargs)[place]


def _values(step: Step, which: Ix, count: int, tracer: Tracer) -> Tensor | None:
    """Return a step's values at all rows of an index; None where torch cannot vectorise it."""
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    rows = torch.arange(count, device=tracer.device)
    try:
        with TransformGetItemToIndex():
            found = torch.vmap(lambda row: _replayed(step, row, {}))(rows)
    except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError):
        return None
    return found if isinstance(found, Tensor) and not isinstance(found, Symbol) else None


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
