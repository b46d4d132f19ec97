"""One run of a callable on symbols."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from maskc.errors import MaskcError, TraceError
from maskc.ir.nodes import SCORE, Expr, Index, Input, IntConst, Load
from maskc.ir.types import Ix, Type
from maskc.tracing.captured import Captured
from maskc.tracing.dtypes import short_float, type_of
from maskc.tracing.place import function_span, raised_at
from maskc.tracing.refuse import refusal
from maskc.tracing.subscripts import Subscripts
from maskc.tracing.symbol import Row, Step, Symbol, check_few, row_symbol, symbol
from maskc.tracing.tables import Table, values_of
from maskc.tracing.terms import as_type, constant
from maskc.tracing.views import selected

INDICES = (Ix.BATCH, Ix.HEAD, Ix.Q, Ix.K)
"""What a callable is given, after the score."""


class Tracer:
    """What the symbols of one run share.

    Attributes:
        sizes: of the call, as far as they are known: ``batch_size``, ``num_heads``, ``q_len`` and
            ``kv_len``.
        device: of the captured tensors.
        is_mask: whether a mask is traced; scores may round.

    """

    def __init__(self, captured: Captured, sizes: Mapping[str, int], is_mask: bool) -> None:
        self._captured = captured
        self.sizes = sizes
        self.device = captured.device
        self.is_mask = is_mask
        self._tables: list[Table] = []

    def run(self, callable: Callable[..., Any]) -> Expr:
        """Return what a ``mask_mod`` or a ``score_mod`` computes.

        Raises:
            TraceError: it has no translation; the error shows its file and line.

        """
        with torch.no_grad(), Subscripts(self):
            try:
                found = callable(*self._arguments())
            except MaskcError:
                raise
            except Exception as error:
                raise _raised(error, callable) from error
        return self._result(found, callable)

    def nodes(self, tensor: Tensor) -> tuple[Expr, ...]:
        """Return the elements of a symbol, or of a small tensor with data."""
        if isinstance(tensor, Symbol):
            return tensor.nodes
        if self._captured.holds(tensor):
            return row_symbol(self, self.row_of(tensor)).nodes
        check_few(tensor.numel(), "a tensor")
        return tuple(_constant(value, tensor.dtype) for value in tensor.flatten().tolist())

    def row_of(self, tensor: Tensor) -> Row:
        """Return a tensor with data as a part of the captured tensor that it is a view of."""
        base = self._captured.base(tensor)
        at = None if base is None else selected(tensor, base)
        if base is None or at is None:
            return Row(tensor, (None,) * tensor.dim())
        return Row(base, tuple(None if index is None else IntConst(index) for index in at))

    def load(self, base: Tensor, at: tuple[Expr | None, ...]) -> Load:
        """Return an element of a tensor with data."""
        indices = tuple(index for index in at if index is not None)
        return Load(Input(self.name_of(base), type_of(base.dtype)), indices)

    def name_of(self, tensor: Tensor) -> str:
        """Return the name of the input that a tensor is."""
        return self._captured.name(tensor)

    def add_table(self, table: Table) -> None:
        """Take a table in the place of what has no translation."""
        self._captured.add(table.empty, table.name)
        self._tables.append(table)

    def tables(self) -> dict[str, Tensor]:
        """Return the values of the tables, by their names in the program."""
        return {self.name_of(one.empty): values_of(one, self.device) for one in self._tables}

    def _arguments(self) -> list[Symbol]:
        found = []
        for which in INDICES:
            index = symbol(self, (Index(which),), (), torch.int64)
            index.step = Step(frozenset({which}))
            found.append(index)
        if not self.is_mask:
            found.insert(0, symbol(self, (SCORE,), (), torch.float32))
        return found

    def _result(self, found: Any, callable: Callable[..., Any]) -> Expr:
        what = "mask_mod" if self.is_mask else "score_mod"

        def refused(message: str, help: str) -> TraceError:
            span = function_span(getattr(callable, "__code__", None))
            return TraceError("M808", f"the {what} returned {message}", span, help)

        if not isinstance(found, Tensor | bool | float | int):
            name = type(found).__name__
            raise refused(f"{name}, expected a tensor", "return what it computes")
        if isinstance(found, Tensor) and found.dim():
            shape = list(found.shape)
            help = "subscript it, or reduce it by `.any(-1)`"
            raise refused(f"a tensor {shape}, expected one value", help)
        node = self.nodes(found)[0] if isinstance(found, Tensor) else constant(found)
        if self.is_mask and node.type is not Type.BOOL:
            raise refused(f"{node.type.article}, expected a bool", "compare it: `x != 0`")
        if not self.is_mask and node.type is Type.BOOL:
            raise refused("a bool, expected a score", "pass it as `mask_mod`")
        return node if self.is_mask else as_type(node, Type.FLOAT)


def check_arguments(callable: Any, count: int, what: str, other: str) -> None:
    """Refuse what cannot be called with ``count`` arguments.

    Raises:
        TraceError: it is no callable, or takes another number of arguments.

    """
    if not hasattr(callable, "__call__"):  # noqa: B004 - an instance without one is meant
        message = f"a {what} is a callable, found {type(callable).__name__}"
        raise TraceError("M809", message, help="a program's text is compiled by `compile_mask`")
    try:
        inspect.signature(callable).bind(*range(count))
    except TypeError:
        message = f"the {what} does not take {count} arguments: {inspect.signature(callable)}"
        span = function_span(getattr(callable, "__code__", None))
        raise TraceError("M809", message, span, f"expected `{other}`") from None
    except ValueError:
        return  # a builtin, which does not tell


def _constant(value: Any, dtype: torch.dtype) -> Expr:
    if isinstance(value, complex):
        raise refusal("M806", "complex numbers have no translation")
    return constant(short_float(value) if dtype is torch.float32 else value)


def _raised(error: Exception, callable: Callable[..., Any]) -> TraceError:
    """Return the error for what the callable, or torch on its behalf, raised."""
    text = str(error).strip().splitlines()
    message = f"the callable raised {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")
    help = "it is run once on tensors without data; call it with numbers to see whether that works"
    span = raised_at(error) or function_span(getattr(callable, "__code__", None))
    return TraceError("M810", message, span, help)
