"""Which int term decides something as a float that may not hold it.

Kernels have floats of 32 bits, which hold every int up to 2 ** 24 and skip some above. In a mask,
in a condition, in a selection or in a subscript the difference of 1 that is lost so is a wrong
answer; in a score it is no more than rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from maskc.analysis.intervals.int32 import Excess, Range, loaded, reach_of
from maskc.ir.nodes import Arith, Call, Compare, Expr, Load, TopK, Where, children, walk
from maskc.ir.types import Sz, Type
from maskc.limits import EXACT_FLOAT


def converted(*roots: Expr) -> tuple[str, ...]:
    """Return the names of the int inputs whose values decide something as floats."""
    loads = (load for root in roots for term in _converted(root) for load in loaded(term))
    return tuple(dict.fromkeys(load.input.name for load in loads))


def inexact(root: Expr, sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> Excess | None:
    """Return an int term that decides as a float and may be too large for it, None if none may.

    Args:
        root: the row expression.
        sizes: of the call.
        ranges: the least and the largest value of the inputs that ``converted`` names, and of
            those whose values enter int arithmetic; one that is missing counts as 0.

    """
    for term in _converted(root):
        if (reach := reach_of(term, sizes, ranges)) > EXACT_FLOAT:
            return Excess(term, reach)
    return None


def _converted(root: Expr) -> Iterator[Expr]:
    """Yield the ints that become floats where something is decided."""
    for decision in _decisions(root):
        for term in walk(decision):
            if _computes_floats(term):
                yield from (kid for kid in children(term) if kid.type is Type.INT)


def _decisions(root: Expr) -> Iterator[Expr]:
    """Yield the parts of an expression that decide: all of a mask, of a score its conditions."""
    if root.type is Type.BOOL:
        yield root
        return
    for term in walk(root):
        match term:
            case Where(cond):
                yield cond
            case TopK():
                yield term
            case Load(_, indices):
                yield from indices


def _computes_floats(term: Expr) -> bool:
    match term:
        case Compare():
            return Type.FLOAT in (term.left.type, term.right.type)
        case Arith() | Call() | Where():
            return term.type is Type.FLOAT
        case _:
            return False
