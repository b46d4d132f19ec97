"""Refuse, before anything runs, ints that kernels cannot hold.

Those of more than 32 bits would wrap silently; those that decide as floats would be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from torch import Tensor

from maskc.analysis.intervals.exact_floats import inexact
from maskc.analysis.intervals.int32 import excess
from maskc.analysis.intervals.whole_call import Range
from maskc.errors import BindError
from maskc.ir.nodes import Expr, inputs
from maskc.ir.rows import K_POSITION, Q_POSITION
from maskc.ir.text import quoted
from maskc.ir.types import Sz
from maskc.limits import EXACT_FLOAT


def check_ints(
    exprs: tuple[Expr, ...], sizes: Mapping[Sz, int], ranges: Mapping[str, Range]
) -> None:
    """Refuse an int that may leave 32 bits, or that decides as a float too small for it.

    Args:
        exprs: the row expressions.
        sizes: of the call.
        ranges: the least and the largest value of inputs that enter arithmetic; 0 if missing.

    Raises:
        BindError: it names the term, and how large it may be.

    """
    if fits_nearby(exprs, sizes, ranges):
        return
    for expr in exprs:
        if (result := excess(expr, sizes, ranges)) is not None:
            raise _too_large(result.term)
        if (result := inexact(expr, sizes, ranges)) is not None:
            raise BindError(
                "M433",
                f"`{quoted(result.term)}` decides as a float and may be {result.reach}, and "
                f"floats of 32 bits hold all ints up to {EXACT_FLOAT} only",
                result.term.span,
                "compare ints with ints: multiply the other side instead of dividing this one",
            )


def _too_large(term: Expr) -> BindError:
    read = {source.name for source in inputs(term)}
    for side, position in (("q", Q_POSITION), ("k", K_POSITION)):
        if term.span is None and position.name in read:
            message = f"`{side}` may leave 32 bits for the offset or the positions of this call"
            help = "positions are those of tokens: give smaller ones"
            return BindError("M429", message, help=help)
    message = f"`{quoted(term)}` may leave 32 bits for these sizes and inputs"
    help = "compute it with floats, or divide before you multiply"
    return BindError("M429", message, term.span, help)


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
    check_ints(exprs, sizes, ranges)


def fits_nearby(
    exprs: tuple[Expr, ...], sizes: Mapping[Sz, int], ranges: Mapping[str, Range]
) -> bool:
    """Tell whether all ints fit in this call and in those near it, which a decoder meets next."""
    rounded = tuple((name, _rounded(low), _rounded(high)) for name, (low, high) in ranges.items())
    bits = tuple((which, size.bit_length()) for which, size in sizes.items())
    return _all_fit(exprs, bits, rounded)


@lru_cache(maxsize=1024)
def _all_fit(
    exprs: tuple[Expr, ...],
    bits: tuple[tuple[Sz, int], ...],
    rounded: tuple[tuple[str, int, int], ...],
) -> bool:
    """Tell whether all ints fit for sizes of so many bits and ranges rounded outwards."""
    least = {which: 1 << (count - 1) for which, count in bits}
    most = {which: (1 << count) - 1 for which, count in bits}
    ranges = {name: (low, high) for name, low, high in rounded}
    return not any(
        excess(expr, most, ranges, least) or inexact(expr, most, ranges, least) for expr in exprs
    )


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
