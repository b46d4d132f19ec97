"""Refuse, before anything runs, ints that kernels cannot hold.

Those of more than 32 bits would wrap silently; those that decide as floats would be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from torch import Tensor

from maskc.analysis.intervals.exact_floats import inexact
from maskc.analysis.intervals.int32 import Range, excess
from maskc.errors import BindError
from maskc.ir.nodes import Expr
from maskc.ir.text import expr_text
from maskc.ir.types import Sz
from maskc.limits import EXACT_FLOAT

SHORT = 60
"""The longest text of a term that an error quotes as it was written."""


def check_ints(exprs: Iterable[Expr], sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> None:
    """Refuse row expressions with an int that may leave 32 bits, or the float it decides as.

    Args:
        exprs: the row expressions.
        sizes: of the call.
        ranges: the least and the largest value of inputs that enter arithmetic; 0 if missing.

    Raises:
        BindError: it names the term, and how large it may be.

    """
    for expr in exprs:
        if (found := excess(expr, sizes, ranges)) is not None:
            raise BindError(
                "M429",
                f"`{_written(found.term)}` may leave 32 bits for these sizes and inputs",
                found.term.span,
                "compute it with floats, or divide before you multiply",
            )
        if (found := inexact(expr, sizes, ranges)) is not None:
            raise BindError(
                "M433",
                f"`{_written(found.term)}` decides as a float and may be {found.reach}, and floats "
                f"of 32 bits hold all ints up to {EXACT_FLOAT} only",
                found.term.span,
                "compare ints with ints: multiply the other side instead of dividing this one",
            )


def _written(term: Expr) -> str:
    """Return a term as it was written, or, where that is long, its canonical text."""
    fits = term.span is not None and len(term.span.text) <= SHORT
    return term.span.text if term.span is not None and fits else expr_text(term)


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
    return not any(excess(e, dict(sizes), ranges) or inexact(e, dict(sizes), ranges) for e in exprs)


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
