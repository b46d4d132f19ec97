"""Ints that torch holds in fewer bits than a program does: whether the values of a call fit.

torch adds int32 tensors in 32 bits, where sums wrap around, and compares an int with a float32 in
float32, which skips ints above 2 ** 24. A program does neither, so that a call in which the
two could differ is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from maskc.analysis.intervals.int32 import reach_of
from maskc.errors import BindError
from maskc.ir.nodes import Expr, Index, Load, children, rewrite
from maskc.ir.text import quoted
from maskc.ir.types import Ix, Sz, Type
from maskc.limits import MAX_INT

SIZES = {size.value: size for size in Sz}


def check_limits(
    limits: Mapping[Expr, int], call: Mapping[str, Any], inputs: Mapping[str, Any]
) -> None:
    """Refuse a call in which an int may be larger than torch computes it exactly.

    What became part of a table torch computed itself: its inputs are none of the program's.

    Args:
        limits: ints, and the largest absolute value of each.
        call: the sizes of the call by their names, among other keywords.
        inputs: what was captured.

    Raises:
        BindError: it names the int.

    """
    sizes = {which: int(call.get(name, 1)) for name, which in SIZES.items()}
    kept = {term: most for term, most in limits.items() if inputs.keys() >= {*_read(term)}}
    ranges = {name: _range(inputs[name]) for term in kept for name in _read(term)}
    for term, most in kept.items():
        if (reach := reach_of(rewrite(term, _as_row), sizes, ranges)) > most:
            bits = "wraps around in 32 bits" if most == MAX_INT else "is rounded to a float"
            message = f"`{quoted(term)}` may be {reach}, which {bits} as torch computes it"
            help = "convert the tensor before: `.long()`, or compare ints with ints"
            raise BindError("M437", message, term.span, help)


def _as_row(term: Expr) -> Expr | None:
    """Return an index as that of a row; the positions of a traced call are its rows."""
    match term:
        case Index(Ix.Q):
            return Index(Ix.Q_IDX)
        case Index(Ix.K):
            return Index(Ix.KV_IDX)
        case _:
            return None


def _read(term: Expr) -> Iterator[str]:
    """Yield the int inputs whose elements an int is made of."""
    if isinstance(term, Load):
        yield term.input.name
        return
    for part in children(term):
        if part.type is Type.INT:
            yield from _read(part)


def _range(value: Any) -> tuple[int, int]:
    """Return the least and the largest element of an input."""
    if not isinstance(value, Tensor):
        return int(value), int(value)
    if not value.numel():
        return 0, 0
    low, high = value.aminmax()
    return int(low), int(high)
