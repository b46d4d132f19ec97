"""Refuse, before anything runs, ints that may leave 32 bits: kernels would wrap silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from torch import Tensor

from maskc.analysis.intervals.int32 import excess
from maskc.analysis.intervals.whole_call import Range
from maskc.errors import BindError
from maskc.ir.nodes import Expr
from maskc.ir.text import expr_text
from maskc.ir.types import Sz

SHORT = 60
"""The longest text of a term that an error quotes as it was written."""


def check_ints(exprs: Iterable[Expr], sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> None:
    """Refuse row expressions with an int that may leave 32 bits.

    Args:
        exprs: the row expressions.
        sizes: of the call.
        ranges: the least and the largest value of inputs that enter arithmetic; 0 if missing.

    Raises:
        BindError: it names the term, and how large it may be.

    """
    for expr in exprs:
        found = excess(expr, sizes, ranges)
        if found is not None:
            span = found.term.span
            fits = span is not None and len(span.text) <= SHORT
            shown = span.text if span is not None and fits else expr_text(found.term)
            raise BindError(
                "M429",
                f"`{shown}` may leave 32 bits for these sizes and inputs",
                span,
                "compute it with floats, or divide before you multiply",
            )


def check_values(
    exprs: tuple[Expr, ...],
    sizes: Mapping[Sz, int],
    tensors: Mapping[str, Tensor],
    counted: Iterable[str],
) -> None:
    """Refuse row expressions whose ints may leave 32 bits for the values of their inputs.

    Args:
        exprs: the row expressions.
        sizes: of the call.
        tensors: the bound inputs.
        counted: the inputs whose values enter arithmetic.

    Raises:
        BindError: it names the term.

    """
    ranges = {name: _range(tensors[name]) for name in counted}
    rounded = tuple((name, _rounded(low), _rounded(high)) for name, (low, high) in ranges.items())
    if not _fits(exprs, tuple(sizes.items()), rounded):
        check_ints(exprs, sizes, ranges)


@lru_cache(maxsize=1024)
def _fits(
    exprs: tuple[Expr, ...],
    sizes: tuple[tuple[Sz, int], ...],
    rounded: tuple[tuple[str, int, int], ...],
) -> bool:
    """Tell whether all ints fit for ranges rounded outwards, which a decoder meets again."""
    ranges = {name: (low, high) for name, low, high in rounded}
    return all(excess(expr, dict(sizes), ranges) is None for expr in exprs)


def _rounded(value: int) -> int:
    """Return a power of two, less one, of at least the size of ``value``, with its sign."""
    most: int = (1 << abs(value).bit_length()) - 1
    return most if value >= 0 else -most


def _range(tensor: Tensor) -> Range:
    if not tensor.dim():
        value = int(tensor)
        return value, value
    low, high = tensor.aminmax()
    return int(low), int(high)
