"""``tensor[index]``, which torch would answer by asking the index for its number."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from maskc.errors import TraceError
from maskc.ir.nodes import Expr, IntConst
from maskc.tracing.callables.refusals import asks_for_value, refusal
from maskc.tracing.operations.arrays import spread
from maskc.tracing.operations.terms import number
from maskc.tracing.run.context import Context
from maskc.tracing.run.dispatch import RANDOM
from maskc.tracing.run.steps import Row
from maskc.tracing.run.symbol import (
    Symbol,
    check_few,
    nodes_of,
    row_symbol,
    symbol,
    symbols,
)
from maskc.tracing.run.tables import remember, table_instead

ASKING = {
    Tensor.__bool__: "`if`, `and`, `or`, `not` or `while`",
    Tensor.__int__: "`int(...)`",
    Tensor.__float__: "`float(...)`",
    Tensor.__index__: "a subscript of a Python list, or `range`,",
    Tensor.item: "`.item()`",
    Tensor.tolist: "`.tolist()`",
    Tensor.__contains__: "`in`",
}
"""What asks a tensor for its value, as it is written."""


class Subscripts(TorchFunctionMode):
    """Takes what the callable does with symbols before torch asks them for their numbers."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Translate a subscript; refuse what asks for a value, writes or draws."""
        keywords = kwargs or {}
        if getattr(func, "__name__", "") in RANDOM:
            help = "draw the numbers before, into a tensor, and subscript that"
            raise refusal("M802", f"`{func.__name__}` gives other numbers at each call", help)
        if func is Tensor.__getitem__ and symbols(args[1]):
            return self._subscripted(args[0], args[1])
        if func is Tensor.__setitem__ and symbols(args):
            help = "choose with `torch.where` instead"
            raise refusal("M803", "the callable writes into a tensor", help)
        if func in ASKING and symbols(args):
            raise asks_for_value(ASKING[func])
        return func(*args, **keywords)

    def _subscripted(self, source: Tensor, index: Any) -> Symbol:
        indices = index if isinstance(index, tuple) else (index,)
        try:
            result = subscripted(self._context, source, indices)
        except TraceError as error:
            return table_instead(error, self._context, _get, (source, indices), {})
        remember(result, _get, (source, indices), {})
        return result


def _get(source: Tensor, indices: tuple[Any, ...]) -> Tensor:
    return source[indices]


def subscripted(context: Context, source: Tensor, indices: tuple[Any, ...]) -> Symbol:
    """Return ``source[indices]``, symbols among the indices.

    Raises:
        TraceError: a subscript of a kind that has no translation.

    """
    parts = _full(indices, source.dim())
    for part in parts:
        _check(part)
    rank = max((part.dim() for part in parts if isinstance(part, Tensor)), default=0)
    if rank:
        return _gathered(context, source, parts)
    at = tuple(
        None if isinstance(part, slice) else _index(context, part, size)
        for part, size in zip(parts, source.shape, strict=True)
    )
    return row_symbol(context, _row(context, source).narrowed(at))


def _full(indices: tuple[Any, ...], rank: int) -> list[Any]:
    """Return one subscript for each dimension: ``...`` and what is left out are ``:``."""
    given = sum(part is not None and part is not Ellipsis for part in indices)
    if given > rank:
        raise refusal("M804", f"{given} subscripts of a tensor with {rank} dimensions")
    left = [slice(None)] * (rank - given)
    result: list[Any] = []
    for part in indices if Ellipsis in _kinds(indices) else (*indices, Ellipsis):
        result += left if part is Ellipsis else [part]
    return result


def _kinds(indices: tuple[Any, ...]) -> list[Any]:
    """Return the subscripts that are no tensors: those cannot be compared with ``...``."""
    return [part for part in indices if not isinstance(part, Tensor)]


def _check(part: Any) -> None:
    """Refuse a subscript that is no index."""
    if part is None:
        help = "subscript first, then `.unsqueeze(...)`"
        raise refusal("M804", "`None` beside an index in a subscript has no translation", help)
    if isinstance(part, slice) and part != slice(None):
        help = "slice the tensor before: `t[a:b][q]`, or with the index shifted"
        raise refusal("M804", "a slice beside an index in a subscript has no translation", help)
    if isinstance(part, bool) or (isinstance(part, Tensor) and part.dtype is torch.bool):
        raise refusal("M804", "a boolean subscript has no translation", "use `torch.where`")
    if isinstance(part, list):
        raise refusal("M804", "a list in a subscript has no translation", "make it a tensor before")


def _row(context: Context, source: Tensor) -> Row:
    """Return a tensor as a row, or refuse a row that was computed."""
    if not isinstance(source, Symbol):
        return context.row_of(source)
    if source.row is None:
        help = "choose with `torch.where`, or compute the row before, from tensors alone"
        raise refusal("M804", "a computed row is subscripted by an index", help)
    return source.row


def _index(context: Context, part: Any, size: int) -> Expr:
    """Return a subscript as a term; torch counts a negative constant from the end."""
    (node,) = nodes_of(context, part) if isinstance(part, Tensor) else (IntConst(int(part)),)
    if isinstance(node, IntConst) and node.value < 0:
        return IntConst(node.value + size)
    return number(node)


def _gathered(context: Context, source: Tensor, parts: list[Any]) -> Symbol:
    """Return a subscript by small rows of indices, element by element."""
    if any(isinstance(part, slice) for part in parts):
        raise refusal("M804", "rows of indices beside a whole dimension have no translation")
    tensors = [part if isinstance(part, Tensor) else torch.tensor(part) for part in parts]
    shapes = (part.shape for part in tensors)
    shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
    check_few(prod(shape), "a subscript")
    columns = [spread(nodes_of(context, part), part.shape, shape) for part in tensors]
    row = _row(context, source)
    nodes = tuple(
        context.load(row.narrowed(tuple(_wrapped(column, source.shape))))
        for column in zip(*columns, strict=True)
    )
    return symbol(context, nodes, tuple(shape), source.dtype)


def _wrapped(indices: tuple[Expr, ...], shape: torch.Size) -> list[Expr]:
    return [
        IntConst(index.value % size) if isinstance(index, IntConst) else number(index)
        for index, size in zip(indices, shape, strict=True)
    ]
