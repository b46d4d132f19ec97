"""Tensors without data, whose elements are terms of the IR.

``torch`` runs the callable on these as on any tensor; each operation that reaches
``__torch_dispatch__`` is translated at once, and its dtype and shape are those that torch gives.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from maskc.elaborate.expressions import MAX_DEPTH
from maskc.ir.nodes import Expr, IntConst
from maskc.tracing.callables.refusals import refusal
from maskc.tracing.operations.dtypes import short_float
from maskc.tracing.operations.terms import constant
from maskc.tracing.run.context import Context
from maskc.tracing.run.steps import Row, Step

MANY = 64
"""Elements of a row that are written out one by one."""

LONG = 250
"""Parts of a term of one index from which a table of its values is better."""

LARGEST = 2000
"""Parts of a term that is traced; about as many fit into a program's words and signs."""


class Symbol(Tensor):
    """A tensor whose elements are terms, written out when they are first asked for."""

    context: Context
    step: Step
    row: Row | None
    _make: Callable[[], tuple[Expr, ...]]
    _nodes: tuple[Expr, ...] | None

    @staticmethod
    def __new__(
        cls: type[Symbol],
        context: Context,
        make: Callable[[], tuple[Expr, ...]],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        row: Row | None = None,
    ) -> Symbol:
        """Return a tensor of this shape and dtype, and no data."""
        self: Symbol = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=context.device)
        self.context = context
        self.step = Step(None)
        self.row = row
        self._make = make
        self._nodes = None
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        context = symbols((*args, *keywords.values()))[0].context
        return context.dispatch(func, args, keywords)

    @property
    def nodes(self) -> tuple[Expr, ...]:
        """The elements in row-major order."""
        if self._nodes is None:
            self._nodes = self._make()
        return self._nodes

    @property
    def is_long(self) -> bool:
        """Whether an element that is written out has many parts."""
        return self._nodes is not None and any(node.weight > LONG for node in self._nodes)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Symbol(shape={tuple(self.shape)}, dtype={self.dtype})"


def symbol(
    context: Context, nodes: tuple[Expr, ...], shape: tuple[int, ...], dtype: torch.dtype
) -> Symbol:
    """Return the symbol with these elements.

    Raises:
        TraceError: a program that says them would be too long; a loop that uses its last result
            twice doubles it at every turn.

    """
    for node in nodes:
        if node.weight > LARGEST or node.depth > MAX_DEPTH:
            message = f"what the callable computes here has {node.weight} parts, {node.depth} deep"
            raise refusal("M814", message)
    result = Symbol(context, lambda: nodes, shape, dtype)
    result._nodes = nodes
    return result


def row_symbol(context: Context, row: Row) -> Symbol:
    """Return a part of a tensor with data as a symbol."""
    shape = row.shape

    def make() -> tuple[Expr, ...]:
        check_few(prod(shape), context.name_of(row.base))
        return tuple(context.load(row.narrowed(at)) for at in subscripts_of(shape))

    return Symbol(context, make, shape, row.base.dtype, row)


def nodes_of(context: Context, tensor: Tensor) -> tuple[Expr, ...]:
    """Return the elements of a symbol, or of a small tensor with data."""
    if isinstance(tensor, Symbol):
        return tensor.nodes
    if context.captured.holds(tensor):
        return row_symbol(context, context.row_of(tensor)).nodes
    check_few(tensor.numel(), "a tensor")
    return tuple(_constant(value, tensor.dtype) for value in tensor.flatten().tolist())


def _constant(value: Any, dtype: torch.dtype) -> Expr:
    if isinstance(value, complex):
        raise refusal("M806", "complex numbers have no translation")
    return constant(short_float(value) if dtype is torch.float32 else value)


def subscripts_of(shape: tuple[int, ...]) -> list[tuple[Expr | None, ...]]:
    """Return the subscripts of all elements of a shape, in row-major order."""
    result: list[tuple[Expr | None, ...]] = [()]
    for size in shape:
        result = [(*at, IntConst(index)) for at in result for index in range(size)]
    return result


def check_few(count: int, what: str) -> None:
    """Refuse to write out very many elements."""
    if count > MANY:
        message = f"the callable computes with {count} elements of `{what}` at once"
        help = f"subscript it by the indices first; up to {MANY} elements are written out"
        raise refusal("M805", message, help)


def symbols(value: Any) -> list[Symbol]:
    """Return the symbols among arguments."""
    if isinstance(value, Symbol):
        return [value]
    if isinstance(value, tuple | list):
        return [result for part in value for result in symbols(part)]
    return []
