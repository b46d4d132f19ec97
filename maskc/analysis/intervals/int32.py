"""Which int term may leave 32 bits: kernels compute indices in as many, and wrap silently.

Every computed int is bounded from the sizes of the call and the extremes of the inputs that enter
arithmetic. What is only compared or subscripts an input may be of any width. Ints made of floats
are not followed: nothing is known of their size, and to refuse them all would help nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from maskc.analysis.intervals.domain import Bounds
from maskc.analysis.intervals.integers import absolute, power, product, quotient, remainder, total
from maskc.ir.nodes import (
    Arith,
    Call,
    Expr,
    Index,
    IntConst,
    Load,
    Size,
    Where,
    children,
    walk,
)
from maskc.ir.types import ArithOp, Fn, Ix, Sz, Type

MOST_INT = 2**31 - 1
"""The largest int of a kernel."""

Range = tuple[int, int]

_EXTENTS = {
    Ix.BATCH: Sz.BATCH_SIZE,
    Ix.HEAD: Sz.NUM_HEADS,
    Ix.Q_IDX: Sz.Q_LEN,
    Ix.KV_IDX: Sz.KV_LEN,
}


@dataclass(frozen=True, slots=True)
class Excess:
    """A term that may be as large as ``reach`` in absolute value."""

    term: Expr
    reach: int


def counted(*roots: Expr) -> tuple[str, ...]:
    """Return the names of the int inputs whose values enter arithmetic."""
    found = (load.input.name for term in walk(*roots) for load in _operands(term))
    return tuple(dict.fromkeys(found))


def excess(root: Expr, sizes: Mapping[Sz, int], ranges: Mapping[str, Range]) -> Excess | None:
    """Return an innermost int term of a row expression that may leave 32 bits, None if none may.

    Args:
        root: the row expression.
        sizes: of the call.
        ranges: the least and the largest value of the inputs that ``counted`` names; one that is
            missing counts as 0.

    """
    reaches = _Reaches(sizes, ranges)
    for term in reversed(list(walk(root))):
        if _is_computed(term) and (reach := reaches.of(term).reach) > MOST_INT:
            return _innermost(term, reaches, reach)
    return None


def _is_computed(term: Expr) -> bool:
    return term.type is Type.INT and isinstance(term, Arith | Call)


def _innermost(term: Expr, reaches: _Reaches, reach: int) -> Excess:
    for kid in children(term):
        if _is_computed(kid) and (inner := reaches.of(kid).reach) > MOST_INT:
            return _innermost(kid, reaches, inner)
    return Excess(term, reach)


def _operands(term: Expr) -> Iterator[Load]:
    """Yield the loads whose values a computed int is made of."""
    if not _is_computed(term):
        return
    stack = list(children(term))
    while stack:
        operand = stack.pop()
        if isinstance(operand, Load) and operand.type is Type.INT:
            yield operand
        elif isinstance(operand, Where):
            stack += [operand.then, operand.other]


@dataclass(slots=True)
class _Reaches:
    """Bounds of ints over all points of a call, as Python numbers."""

    sizes: Mapping[Sz, int]
    ranges: Mapping[str, Range]
    memo: dict[Expr, Bounds] = field(default_factory=dict)

    def of(self, term: Expr) -> Bounds:
        if term not in self.memo:
            self.memo[term] = self._bounds(term)
        return self.memo[term]

    def _bounds(self, term: Expr) -> Bounds:
        match term:
            case IntConst(value):
                return _between(value, value)
            case Size(which):
                return _between(self.sizes[which], self.sizes[which])
            case Index(which):
                return _between(0, self.sizes[_EXTENTS[which]] - 1)
            case Load(source) if source.name in self.ranges:
                return _between(*self.ranges[source.name])
            case Where(_, then, other) if term.type is Type.INT:
                return _hull(self.of(then), self.of(other))
            case Arith(op, left, right) if term.type is Type.INT:
                return self._arith(op, self.of(left), self.of(right))
            case Call(fn, args) if term.type is Type.INT:
                return self._call(fn, args)
            case _:
                return _between(0, 0)

    def _arith(self, op: ArithOp, left: Bounds, right: Bounds) -> Bounds:
        match op:
            case ArithOp.ADD:
                return total([(1, left), (1, right)], 0)
            case ArithOp.SUB:
                return total([(1, left), (-1, right)], 0)
            case ArithOp.MUL:
                return product(left, right)
            case ArithOp.FLOORDIV:
                return _tight(quotient(left, right))
            case ArithOp.MOD:
                return remainder(left, right)
            case ArithOp.POW:
                return power(left, right.hi)
            case ArithOp.DIV:
                raise AssertionError("a quotient is no int")

    def _call(self, fn: Fn, args: tuple[Expr, ...]) -> Bounds:
        if args[0].type is not Type.INT:
            return _between(0, int(args[0].type is Type.BOOL))
        bounds = [self.of(arg) for arg in args]
        match fn:
            case Fn.NEG:
                return total([(-1, bounds[0])], 0)
            case Fn.ABS:
                return absolute(bounds[0])
            case Fn.MIN:
                return _between(min(b.lo for b in bounds), min(b.hi for b in bounds))
            case Fn.MAX:
                return _between(max(b.lo for b in bounds), max(b.hi for b in bounds))
            case Fn.CLAMP:
                value, low, high = bounds
                lo, hi = max(value.lo, low.lo), max(value.hi, low.hi)
                return _between(min(lo, high.lo), min(hi, high.hi))
            case _:
                return bounds[0]


def _between(lo: int, hi: int) -> Bounds:
    return Bounds(lo, hi, max(abs(lo), abs(hi)))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    return _between(min(a.lo, b.lo), max(a.hi, b.hi))


def _tight(bounds: Bounds) -> Bounds:
    return _between(bounds.lo, bounds.hi)
