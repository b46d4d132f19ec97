"""One run of a callable on symbols."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor

from maskc.errors import MaskcError, TraceError
from maskc.ir.nodes import SCORE, Expr, Index
from maskc.ir.types import Ix, Type
from maskc.tracing.callables.captured import Captured
from maskc.tracing.callables.location import function_span, raised_at
from maskc.tracing.operations.terms import as_type, constant
from maskc.tracing.run.context import Context
from maskc.tracing.run.dispatch import interpret
from maskc.tracing.run.steps import Step
from maskc.tracing.run.subscripts import Subscripts
from maskc.tracing.run.symbol import Symbol, nodes_of, symbol
from maskc.tracing.run.tables import values_of

INDICES = (Ix.BATCH, Ix.HEAD, Ix.Q, Ix.K)
"""What a callable is given, after the score."""


class Tracer:
    """Runs a ``mask_mod`` or a ``score_mod`` on symbols.

    Args:
        captured: the tensors that it holds.
        sizes: of the call, as far as they are known: ``batch_size``, ``num_heads``, ``q_len`` and
            ``kv_len``.
        is_mask: whether it is a mask.

    """

    def __init__(self, captured: Captured, sizes: Mapping[str, int], is_mask: bool) -> None:
        self._context = Context(captured, captured.device, sizes, is_mask, interpret)
        self._is_mask = is_mask

    def run(self, callable: Callable[..., Any]) -> Expr:
        """Return what a ``mask_mod`` or a ``score_mod`` computes.

        Raises:
            TraceError: it has no translation; the error shows its file and line.

        """
        with torch.no_grad(), Subscripts(self._context):
            try:
                result = callable(*self._arguments())
            except MaskcError:
                raise
            except Exception as error:
                raise _raised(error, callable) from error
        return self._result(result, callable)

    @property
    def limits(self) -> Mapping[Expr, int]:
        """Ints that torch holds in few bits, and the largest absolute value that fits."""
        return self._context.limits

    def tables(self) -> dict[str, Tensor]:
        """Return the values of the tables, by their names in the program."""
        context = self._context
        return {
            context.name_of(one.empty): values_of(one, context.device) for one in context.tables
        }

    def _arguments(self) -> list[Symbol]:
        result = []
        for which in INDICES:
            index = symbol(self._context, (Index(which),), (), torch.int64)
            index.step = Step(frozenset({which}))
            result.append(index)
        if not self._is_mask:
            result.insert(0, symbol(self._context, (SCORE,), (), torch.float32))
        return result

    def _result(self, found: Any, callable: Callable[..., Any]) -> Expr:
        what = "mask_mod" if self._is_mask else "score_mod"

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
        node = nodes_of(self._context, found)[0] if isinstance(found, Tensor) else constant(found)
        if self._is_mask and node.type is not Type.BOOL:
            raise refused(f"{node.type.article}, expected a bool", "compare it: `x != 0`")
        if not self._is_mask and node.type is Type.BOOL:
            raise refused("a bool, expected a score", "pass it as `mask_mod`")
        return node if self._is_mask else as_type(node, Type.FLOAT)


def check_arguments(callable: Any, count: int, what: str, other: str) -> None:
    """Refuse what cannot be called with ``count`` arguments.

    Raises:
        TraceError: it is no callable, or takes another number of arguments.

    """
    if isinstance(callable, FunctionType) and _takes(callable.__code__, count):
        return  # to ask for a signature takes as long as a small trace
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


def _takes(code: CodeType, count: int) -> bool:
    """Tell whether a function plainly takes so many arguments."""
    return code.co_argcount == count and not code.co_kwonlyargcount


def _raised(error: Exception, callable: Callable[..., Any]) -> TraceError:
    """Return the error for what the callable, or torch on its behalf, raised."""
    text = str(error).strip().splitlines()
    message = f"the callable raised {type(error).__name__}: {text[0] if text else ''}".rstrip(": ")
    help = "it is run once on tensors without data; call it with numbers to see whether that works"
    span = raised_at(error) or function_span(getattr(callable, "__code__", None))
    return TraceError("M810", message, span, help)
