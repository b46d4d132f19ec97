"""Which int term may leave 32 bits: kernels compute indices in as many, and wrap silently.

Every computed int is bounded from the sizes of the call and the extremes of the inputs that enter
arithmetic. What is only compared or subscripts an input may be of any width. Ints made of floats
are not followed: nothing is known of their size, and to refuse them all would help nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskc.analysis.intervals.domain import OPEN, Bounds, Truth
from maskc.analysis.intervals.evaluate import Evaluation
from maskc.analysis.intervals.whole_call import Range, between, call_box
from maskc.ir.nodes import (
    Arith,
    Call,
    Expr,
    Input,
    Load,
    Size,
    Where,
    children,
    walk,
)
from maskc.ir.types import Sz, Type
from maskc.limits import MAX_INT


@dataclass(frozen=True, slots=True)
class Excess:
    """A term that may be as large as ``reach`` in absolute value."""

    term: Expr
    reach: int


def counted(*roots: Expr) -> tuple[str, ...]:
    """Return the names of the int inputs whose values enter arithmetic."""
    computed = (term for term in walk(*roots) if _is_computed(term))
    result = (load.input.name for term in computed for load in loaded(*children(term)))
    return tuple(dict.fromkeys(result))


def excess(
    root: Expr,
    sizes: Mapping[Sz, int],
    ranges: Mapping[str, Range],
    least: Mapping[Sz, int] | None = None,
) -> Excess | None:
    """Return an innermost int term of a row expression that may leave 32 bits, None if none may.

    Args:
        root: the row expression.
        sizes: of the call.
        ranges: the least and the largest value of the inputs that ``counted`` names; one that is
            missing counts as 0.
        least: of many calls at once: the least size of each, where ``sizes`` has the largest.

    """
    reaches = _whole_call(sizes, ranges, sizes if least is None else least)
    for term in reversed(list(walk(root))):
        if _is_computed(term) and (reach := _reach(reaches.number(term))) > MAX_INT:
            return _innermost(term, reaches, reach)
    return None


def _is_computed(term: Expr) -> bool:
    return term.type is Type.INT and isinstance(term, Arith | Call)


def _innermost(term: Expr, reaches: Evaluation, reach: int) -> Excess:
    for kid in children(term):
        if _is_computed(kid) and (inner := _reach(reaches.number(kid))) > MAX_INT:
            return _innermost(kid, reaches, inner)
    return Excess(term, reach)


def reach_of(
    term: Expr,
    sizes: Mapping[Sz, int],
    ranges: Mapping[str, Range],
    least: Mapping[Sz, int] | None = None,
) -> int:
    """Return the largest absolute value that an int term of a row expression may have.

    Args:
        term: the term.
        sizes: of the call.
        ranges: as for ``excess``.
        least: likewise.

    """
    known = _whole_call(sizes, ranges, sizes if least is None else least)
    return _reach(known.number(term))


def loaded(*terms: Expr) -> Iterator[Load]:
    """Yield the loads that ints are, or choose from."""
    stack = list(terms)
    while stack:
        operand = stack.pop()
        if isinstance(operand, Load) and operand.type is Type.INT:
            yield operand
        elif isinstance(operand, Where):
            stack += [operand.then, operand.other]


class _Reads:
    """The least and the largest elements of inputs that enter arithmetic; of others, 0."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._ranges = ranges

    def numbers(self, source: Input, places: Sequence[Bounds]) -> Bounds:
        return between(*self._ranges.get(source.name, (0, 0)))

    def booleans(self, source: Input, places: Sequence[Bounds]) -> Truth:
        return OPEN


class _WholeCall(Evaluation):
    """Ints over all points of a call, as one box; conditions and floats are not followed."""

    least: Mapping[Sz, int]

    def truth(self, expr: Expr) -> Truth:
        return OPEN

    def number(self, expr: Expr) -> Bounds:
        match expr:
            case _ if expr.type is not Type.INT:
                return between(0, 0)
            case Call(_, args) if any(arg.type is Type.FLOAT for arg in args):
                return between(0, 0)
            case Load():
                return self.reads.numbers(expr.input, ())
            case Size(which):
                return between(self.least[which], self.sizes[which])
            case _:
                return super().number(expr)


def _whole_call(
    sizes: Mapping[Sz, int], ranges: Mapping[str, Range], least: Mapping[Sz, int]
) -> Evaluation:
    call = _WholeCall(sizes, call_box(sizes), _Reads(ranges))
    call.least = least
    return call


def _reach(bounds: Bounds) -> int:
    """Return the largest absolute value."""
    return int(max(abs(bounds.lo), abs(bounds.hi)))
