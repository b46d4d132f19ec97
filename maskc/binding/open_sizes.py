"""What may go wrong in calls of many sizes at once, as conditions on sizes.

A trace leaves lengths, the batch and dimensions of inputs open, for all of which it is right then.
The conditions say for which: they are linear, so a trace asks them of its symbols, and what it asks
becomes a guard. Where they do not hold, or cannot be stated, the sizes of the call decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maskc.analysis.intervals.exact_floats import inexact
from maskc.analysis.intervals.int32 import excess
from maskc.analysis.intervals.whole_call import whole_call
from maskc.ir.domain import EXTENTS
from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import Arith, Expr, Index, IntConst, Load, Size, inputs, walk
from maskc.ir.operators import ArithOp
from maskc.ir.types import Ix, Sz, Type
from maskc.limits import MAX_INT

SHORTEST_LIMIT = 2**10
"""Open sizes are worth while up to at least this."""

COUNTS = {Ix.BATCH: Sz.BATCH_SIZE, Ix.HEAD: Sz.NUM_HEADS, Ix.KV_HEAD: Sz.NUM_KV_HEADS}

Term = Sz | tuple[str, int]
"""A size of the call, or a dimension of a tensor."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``constant + sum(factor * term) >= 0``."""

    constant: int
    terms: tuple[tuple[Term, int], ...]

    def holds(self, values: Mapping[Term, int]) -> bool:
        """Tell whether it holds; of symbols, the answer becomes a guard."""
        total = self.constant
        for term, factor in self.terms:
            total = total + factor * values[term]
        return total >= 0


def conditions(
    exprs: Sequence[Expr], sizes: Mapping[Sz, int | None], tensors: Mapping[str, int]
) -> tuple[Condition, ...] | None:
    """Return the conditions under which no size makes row expressions wrong.

    Args:
        exprs: the row expressions.
        sizes: of the calls, None for an open one.
        tensors: the rank of each tensor.

    Returns:
        The conditions; what the values of tensors decide is not among them. None: only the sizes of
        a call could tell.

    """
    limit = _limit(exprs, sizes)
    if limit is None:
        return None
    open_ones = [which for which, size in sizes.items() if size is None]
    result = [Condition(limit, ((which, -1),)) for which in open_ones if limit < MAX_INT]
    for expr in dict.fromkeys(walk(*exprs)):
        for index, term in _subscripts(expr, tensors):
            if inputs(index):
                continue
            asked = _inside(index, term, sizes, limit)
            if asked is None:
                return None
            result += asked
        if not _divides(expr):
            return None
    return tuple(dict.fromkeys(result))


def count_conditions(
    roots: Sequence[Expr], layouts: Mapping[str, Sequence[tuple[str, bool, tuple[bool, ...]]]]
) -> tuple[Condition, ...]:
    """Return the conditions under which what heads and batches index has as many entries.

    Args:
        roots: expressions over logical indices.
        layouts: for each input its tensors, one or a pair: the name, whether a batch stands in
            front, and which dimensions have size 1.

    """
    result: list[Condition] = []
    for load in (term for term in walk(*roots) if isinstance(term, Load)):
        for name, batched, unit in layouts[load.input.name]:
            for dim, index in enumerate(load.indices, start=batched):
                if isinstance(index, Index) and index.which in COUNTS and not unit[dim]:
                    size, own = COUNTS[index.which], (name, dim)
                    result.append(Condition(0, ((own, 1), (size, -1))))
                    result.append(Condition(0, ((size, 1), (own, -1))))
    return tuple(dict.fromkeys(result))


def _limit(exprs: Sequence[Expr], sizes: Mapping[Sz, int | None]) -> int | None:
    """Return up to which open size all ints fit in kernels, None if that is too little."""
    least = {which: 1 if size is None else size for which, size in sizes.items()}
    limit = MAX_INT
    while limit >= SHORTEST_LIMIT:
        most = {which: limit if size is None else size for which, size in sizes.items()}
        if not any(excess(e, most, {}, least) or inexact(e, most, {}, least) for e in exprs):
            return limit
        limit //= 2
    return None


def _subscripts(expr: Expr, tensors: Mapping[str, int]) -> Iterator[tuple[Expr, Term]]:
    if isinstance(expr, Load) and expr.input.name in tensors:
        for dim, index in enumerate(expr.indices):
            yield index, (expr.input.name, dim)


def _inside(
    index: Expr, dim: Term, sizes: Mapping[Sz, int | None], limit: int
) -> list[Condition] | None:
    """Return when a subscript stays inside a dimension."""
    bounds = _linear_bounds(linear(index)) or _constant_bounds(index, sizes, limit)
    if bounds is None:
        return None
    (low, lows), (high, highs) = bounds
    negated = tuple((term, -factor) for term, factor in highs)
    found = [Condition(low, lows), Condition(-high - 1, ((dim, 1), *negated))]
    return [one for one in found if one.terms or one.constant < 0]


End = tuple[int, tuple[tuple[Term, int], ...]]


def _linear_bounds(form: Linear) -> tuple[End, End] | None:
    """Return the least and the largest value of a sum of indices and sizes."""
    low = high = form.constant
    lows: list[tuple[Term, int]] = []
    highs: list[tuple[Term, int]] = []
    for term, factor in form.terms:
        match term:
            case Index(which) if which in EXTENTS and factor > 0:
                highs.append((EXTENTS[which], factor))
                high -= factor
            case Index(which) if which in EXTENTS:
                lows.append((EXTENTS[which], factor))
                low -= factor
            case Size(which):
                lows.append((which, factor))
                highs.append((which, factor))
            case _:
                return None
    return (low, tuple(lows)), (high, tuple(highs))


def _constant_bounds(
    index: Expr, sizes: Mapping[Sz, int | None], limit: int
) -> tuple[End, End] | None:
    """Return the least and the largest value over all sizes up to the limit."""
    if any(isinstance(term, Size) and sizes[term.which] is None for term in walk(index)):
        return None
    most = {which: limit if size is None else size for which, size in sizes.items()}
    bounds = whole_call(most, {}).number(index)
    return ((int(bounds.lo), ()), (int(bounds.hi), ())) if bounds.lo > -MAX_INT else None


def _divides(expr: Expr) -> bool:
    """Tell whether an int is surely divided by no 0, or only tensors could tell."""
    match expr:
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor) if expr.type is Type.INT:
            is_known = isinstance(divisor, IntConst) and divisor.value != 0
            return is_known or isinstance(divisor, Size) or bool(inputs(divisor))
        case _:
            return True
