"""One aten operation on symbols becomes one symbol: the translation, operation by operation.

torch itself says what dtype and shape the result has: the operation runs on ones of the same dtypes
and shapes, so promotion and broadcasting are torch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from maskc.errors import TraceError
from maskc.ir.nodes import Expr, IntConst
from maskc.ir.operators import ArithOp
from maskc.ir.types import Type
from maskc.tracing.callables.refusals import asks_for_value, refusal
from maskc.tracing.operations.arrays import (
    FILLS,
    JOINS,
    REDUCTIONS,
    VIEWS,
    groups,
    is_in,
    moved,
    ranks,
    spread,
)
from maskc.tracing.operations.dtypes import (
    FITS,
    check_conversion,
    check_dtype,
    common_dtype,
    type_of,
)
from maskc.tracing.operations.elementwise import ELEMENTWISE, check_floored
from maskc.tracing.operations.terms import Number, as_type, constant, number, total
from maskc.tracing.run.context import Context
from maskc.tracing.run.symbol import (
    MANY,
    Symbol,
    check_few,
    nodes_of,
    row_symbol,
    symbol,
    symbols,
)
from maskc.tracing.run.tables import remember, table_instead

RANDOM = frozenset(
    {"rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "bernoulli"}
    | {"multinomial", "normal", "native_dropout", "dropout", "uniform", "randperm"}
)
NOT_OPERANDS = ("dtype", "layout", "device", "memory_format", "pin_memory", "non_blocking")


@dataclass(frozen=True, slots=True)
class Operation:
    """An aten operation and its arguments, at least one of them a symbol."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def first(self) -> Symbol:
        """A symbol among the arguments."""
        return symbols((*self.args, *self.kwargs.values()))[0]


def interpret(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Translate an operation; what has no translation but reads one index becomes a table.

    Raises:
        TraceError: it has no translation.

    """
    operation = Operation(func.overloadpacket.__name__, func, args, kwargs)
    try:
        result = _translated(operation)
    except TraceError as error:
        if func._schema.is_mutable:
            raise
        return table_instead(error, operation.first.context, func, args, kwargs)
    if isinstance(result, Symbol) and result.is_long:
        reason = refusal("M814", "the callable computes a long term of one index")
        with suppress(TraceError):  # of two indices, or of unknown sizes: it stays as it is
            return table_instead(reason, result.context, func, args, kwargs)
    return remember(result, func, args, kwargs)


def _translated(operation: Operation) -> Any:
    name = operation.name
    _refuse_effects(operation)
    if name == "_to_copy":
        return _converted(operation)
    if name in FILLS:
        return _filled(operation)
    if name in VIEWS:
        return _viewed(operation)
    if name in JOINS:
        return _joined(operation)
    if name in REDUCTIONS and torch.Tag.pointwise not in operation.function.tags:  # type: ignore[attr-defined]
        return _reduced(operation)
    if name in _WHOLE:
        return _WHOLE[name](operation)
    if name in ELEMENTWISE:
        return _elementwise(operation)
    raise refusal("M807", f"`{name}` has no translation")


def _refuse_effects(operation: Operation) -> None:
    name = operation.name
    if name in ("_local_scalar_dense", "is_nonzero", "item", "equal"):
        raise asks_for_value("the callable")
    if name in RANDOM:
        help = "draw the numbers before, into a tensor, and subscript that"
        raise refusal("M802", f"`{name}` gives other numbers at each call", help)
    if operation.function._schema.is_mutable:  # type: ignore[attr-defined]
        help = "make a new tensor: `mask = mask & other`, `torch.where(...)`"
        raise refusal("M803", f"`{name}` writes into a tensor", help)


def _elementwise(operation: Operation) -> Any:
    context = operation.first.context
    result = _on_ones(operation)
    plain = result[0] if isinstance(result, tuple) else result
    literal = {k: v for k, v in operation.kwargs.items() if k not in NOT_OPERANDS}
    operands = list(operation.args)
    if operation.name == "clamp":
        operands += [literal.pop(bound, None) for bound in ("min", "max")][len(operands) - 1 :]
    check_dtype(operation.name, plain.dtype, operands, context.is_mask)
    shape = tuple(plain.shape)
    check_few(prod(shape), operation.name)
    kind, build = type_of(plain.dtype), ELEMENTWISE[operation.name]
    columns = [_column(context, operand, shape) for operand in operands]
    floored = operation.name == "floor_divide" or literal.get("rounding_mode") == "floor"
    if floored and kind is Type.FLOAT and context.is_mask:
        check_floored(*columns)
    nodes = tuple(build(kind, *row, **literal) for row in zip(*columns, strict=True))
    if plain.dtype is torch.int32 and operation.name not in FITS:
        context.limit(nodes, torch.int32)
    computed_in = common_dtype(plain.dtype, operands)
    if computed_in is torch.float32 and (context.is_mask or plain.dtype is torch.bool):
        terms = (term for column in columns for term in column if term is not None)
        context.limit(terms, computed_in)
    found = symbol(context, nodes, shape, plain.dtype)
    return (found, found) if isinstance(result, tuple) else found


def _column(context: Context, operand: Any, shape: tuple[int, ...]) -> tuple[Expr | None, ...]:
    """Return an operand's term for each element of the result."""
    if operand is None:
        return (None,) * prod(shape)
    if isinstance(operand, Tensor):
        return spread(nodes_of(context, operand), operand.shape, shape)
    return (constant(operand),) * prod(shape)


def _converted(operation: Operation) -> Symbol:
    source: Symbol = operation.args[0]
    dtype = operation.kwargs.get("dtype") or source.dtype
    check_conversion(source.dtype, dtype, source.context.is_mask)
    if dtype is torch.int32 or source.context.is_mask:
        source.context.limit(source.nodes, dtype)
    kind = type_of(dtype)
    nodes = tuple(as_type(node, kind) for node in source.nodes)
    return symbol(source.context, nodes, tuple(source.shape), dtype)


def _filled(operation: Operation) -> Symbol:
    result, value = _on_ones(operation), FILLS[operation.name]
    if value is None:
        value = operation.kwargs.get("fill_value", operation.args[-1])
    context, kind = operation.first.context, type_of(result.dtype)
    (term,) = nodes_of(context, value) if isinstance(value, Tensor) else (constant(value),)
    nodes = (as_type(term, kind),) * prod(result.shape)
    return symbol(context, nodes, tuple(result.shape), result.dtype)


def _viewed(operation: Operation) -> Any:
    source, *rest = operation.args
    context = source.context
    if operation.name == "select" and source.row is not None:
        dim, at = rest[0] % source.dim(), rest[1] % source.shape[rest[0]]
        indices = [IntConst(at) if n == dim else None for n in range(source.dim())]
        return row_symbol(context, source.row.narrowed(tuple(indices)))
    rest = [part for part in rest if not isinstance(part, Tensor)]
    keywords = {k: v for k, v in operation.kwargs.items() if k not in NOT_OPERANDS}
    if operation.name in ("clone", "detach", "alias", "contiguous", "view_as"):
        return symbol(context, source.nodes, tuple(source.shape), source.dtype)
    parts = [
        symbol(context, nodes, shape, source.dtype)
        for nodes, shape in moved(operation.function, source.nodes, source.shape, *rest, **keywords)
    ]
    return parts if operation.name in ("unbind", "split") else parts[0]


def _joined(operation: Operation) -> Symbol:
    context, result = operation.first.context, _on_ones(operation)
    kind, parts = type_of(result.dtype), operation.args[0]
    check_few(prod(result.shape), operation.name)
    nodes = [as_type(node, kind) for part in parts for node in nodes_of(context, part)]
    numbers = torch.split_with_sizes(torch.arange(len(nodes)), [part.numel() for part in parts])
    shaped = [part.view(like.shape) for part, like in zip(numbers, parts, strict=True)]
    order = operation.function(shaped, *operation.args[1:], **operation.kwargs)
    ordered = tuple(nodes[place] for place in order.flatten().tolist())
    return symbol(context, ordered, tuple(result.shape), result.dtype)


def _reduced(operation: Operation) -> Any:
    source, *rest = operation.args
    found, context = _on_ones(operation), source.context
    result = found[0] if isinstance(found, tuple) else found
    dims = rest[0] if rest else operation.kwargs.get("dim")
    kind, fold = type_of(result.dtype), REDUCTIONS[operation.name]
    nodes = tuple(fold(kind, group) for group in groups(source.nodes, source.shape, dims))
    if result.dtype is torch.int32:
        context.limit(nodes, result.dtype)
    reduced = symbol(context, nodes, tuple(result.shape), result.dtype)
    return (reduced, _places(operation, reduced)) if isinstance(found, tuple) else reduced


def _places(operation: Operation, extremes: Symbol) -> Symbol:
    """Return where the extremes of a dimension stand, which no program says."""

    def refused() -> tuple[Expr, ...]:
        message = f"the places that `{operation.name}` gives have no translation"
        raise refusal("M807", message, "take its values, or compare the elements")

    return Symbol(extremes.context, refused, tuple(extremes.shape), torch.int64)


def _dot(operation: Operation) -> Symbol:
    left, right = operation.args
    context, result = operation.first.context, _on_ones(operation)
    check_dtype(operation.name, result.dtype, operation.args, context.is_mask)
    products = ELEMENTWISE["mul"]
    kind = type_of(result.dtype)
    pairs = zip(nodes_of(context, left), nodes_of(context, right), strict=True)
    node = total([products(kind, *map(number, pair)) for pair in pairs], ArithOp.ADD)
    if result.dtype is torch.int32:
        context.limit((node,), result.dtype)
    return symbol(context, (node,), (), result.dtype)


def _embedded(operation: Operation) -> Symbol:
    """Return a row of a module's table, as ``table[index]`` is."""
    table, index = operation.args[:2]
    context = operation.first.context
    if index.dim() or isinstance(table, Symbol):
        raise refusal("M804", "this form of `embedding` has no translation", "look up one index")
    (at,) = nodes_of(context, index)
    return row_symbol(context, context.row_of(table).narrowed((number(at), None)))


def _is_in(operation: Operation) -> Symbol:
    elements, tests = operation.args[:2]
    if any(operation.kwargs.values()):
        raise refusal("M807", "this form of `isin` has no translation", "use `~torch.isin(...)`")
    context = operation.first.context
    nodes = is_in(_terms(context, elements), _terms(context, tests))
    shape = tuple(elements.shape) if isinstance(elements, Tensor) else ()
    return symbol(context, nodes, shape, torch.bool)


def _searched(operation: Operation) -> Symbol:
    edges, values = operation.args[:2]
    if operation.name == "bucketize":
        edges, values = values, edges
    keywords = dict(operation.kwargs)
    right = keywords.pop("right", False) or keywords.pop("side", None) == "right"
    narrow = keywords.pop("out_int32", False)
    if edges.dim() != 1 or any(value is not None for value in keywords.values()):
        raise refusal("M807", f"this form of `{operation.name}` has no translation")
    context = operation.first.context
    nodes = ranks(nodes_of(context, edges), _terms(context, values), right)
    shape = tuple(values.shape) if isinstance(values, Tensor) else ()
    return symbol(context, nodes, shape, torch.int32 if narrow else torch.int64)


def _terms(context: Context, value: Tensor | Number) -> tuple[Expr, ...]:
    return nodes_of(context, value) if isinstance(value, Tensor) else (constant(value),)


_WHOLE: Mapping[str, Callable[[Operation], Any]] = {
    "dot": _dot,
    "vdot": _dot,
    "embedding": _embedded,
    "isin": _is_in,
    "searchsorted": _searched,
    "bucketize": _searched,
}
"""Operations on whole rows."""


def _on_ones(operation: Operation) -> Any:
    """Return what torch gives for ones of the same dtypes and shapes; only those two count."""
    tensors = [x for x in (*operation.args, *operation.kwargs.values()) if isinstance(x, Tensor)]
    device = "meta" if any(x.numel() > MANY for x in tensors) else "cpu"
    keywords = {k: v for k, v in operation.kwargs.items() if k != "pin_memory"}
    args, kwargs = _lowered(operation.args, device), _lowered(keywords, device)
    return operation.function(*args, **kwargs)


def _lowered(value: Any, device: str) -> Any:
    match value:
        case Tensor():
            one = _one(value.dtype, device)
            return one.expand(tuple(value.shape)) if value.dim() else one
        case torch.device():
            return torch.device(device)
        case tuple() | list():
            return type(value)(_lowered(part, device) for part in value)
        case dict():
            return {key: _lowered(part, device) for key, part in value.items()}
        case _:
            return value


@lru_cache
def _one(dtype: torch.dtype, device: str) -> Tensor:
    return torch.ones((), dtype=dtype, device=device)
