"""Tensors without data, whose elements are terms of the IR.

``torch`` runs the callable on these as on any tensor; each operation that reaches
``__torch_dispatch__`` is translated at once, and its dtype and shape are those that torch gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from maskc.ir.nodes import Expr, IntConst
from maskc.ir.types import Ix
from maskc.tracing.refuse import refusal

if TYPE_CHECKING:
    from maskc.tracing.tracer import Tracer

MANY = 64
"""Elements of a row that are written out one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How a symbol came to be, so that it can be computed again with numbers.

    Attributes:
        along: the indices that it depends on; None where it depends on the score as well.
        function: what gave it; None for an index itself.
        args: its arguments, symbols among them.
        kwargs: its keywords.

    """

    along: frozenset[Ix] | None
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A part of a tensor with data.

    Attributes:
        base: the tensor.
        at: the subscript of each dimension, None for one that is left whole.

    """

    base: Tensor
    at: tuple[Expr | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions that are left whole."""
        sizes = zip(self.at, self.base.shape, strict=True)
        return tuple(size for index, size in sizes if index is None)

    def narrowed(self, indices: tuple[Expr | None, ...]) -> Row:
        """Return the part of this row at ``indices``, one for each dimension left whole."""
        rest = iter(indices)
        return Row(self.base, tuple(next(rest) if index is None else index for index in self.at))


class Symbol(Tensor):
    """A tensor whose elements are terms, written out when they are first asked for."""

    tracer: Tracer
    step: Step
    row: Row | None
    _make: Callable[[], tuple[Expr, ...]]
    _nodes: tuple[Expr, ...] | None

    @staticmethod
    def __new__(
        cls: type[Symbol],
        tracer: Tracer,
        make: Callable[[], tuple[Expr, ...]],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        row: Row | None = None,
    ) -> Symbol:
        """Return a tensor of this shape and dtype, and no data."""
        self: Symbol = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=tracer.device)
        self.tracer = tracer
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
        from maskc.tracing.interpret import interpret  # which makes symbols

        return interpret(func, args, kwargs or {})

    @property
    def nodes(self) -> tuple[Expr, ...]:
        """The elements in row-major order."""
        if self._nodes is None:
            self._nodes = self._make()
        return self._nodes

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Symbol(shape={tuple(self.shape)}, dtype={self.dtype})"


def symbol(
    tracer: Tracer, nodes: tuple[Expr, ...], shape: tuple[int, ...], dtype: torch.dtype
) -> Symbol:
    """Return the symbol with these elements."""
    return Symbol(tracer, lambda: nodes, shape, dtype)


def row_symbol(tracer: Tracer, row: Row) -> Symbol:
    """Return a part of a tensor with data as a symbol."""
    shape = row.shape

    def make() -> tuple[Expr, ...]:
        check_few(prod(shape), tracer.name_of(row.base))
        return tuple(tracer.load(row.base, row.narrowed(place).at) for place in places(shape))

    return Symbol(tracer, make, shape, row.base.dtype, row)


def places(shape: tuple[int, ...]) -> list[tuple[Expr | None, ...]]:
    """Return the subscripts of all elements of a shape, in row-major order."""
    found: list[tuple[Expr | None, ...]] = [()]
    for size in shape:
        found = [(*place, IntConst(index)) for place in found for index in range(size)]
    return found


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
        return [found for part in value for found in symbols(part)]
    return []
