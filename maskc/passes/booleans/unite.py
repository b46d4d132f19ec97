"""Union of ranges: ``0 <= x < 4 | 2 <= x < 9`` becomes ``0 <= x < 9``.

Two arms of ``|`` that differ in bounds of one sum only, and whose ranges overlap or touch, are one
range: one arm fewer a score, and a band of keys where there was a choice of two. What both arms
demand besides stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from maskc.ir.linear import Linear
from maskc.ir.nodes import And, Expr, Or
from maskc.passes.booleans.flatten import joined
from maskc.passes.support.constraint import Constraint, Kind, constraint, shown

MOST = 24
"""Of more arms than this, pairs are not compared."""


@dataclass(frozen=True, slots=True)
class Range:
    """``first <= variable <= last``; None is no bound."""

    variable: Linear
    first: int | None
    last: int | None


def unite(expr: Expr) -> Expr | None:
    """Return a disjunction with two of its arms as one, or None where no two of them are."""
    if not isinstance(expr, Or) or len(expr.args) > MOST:
        return None
    for one, other in combinations(expr.args, 2):
        united = _united(_operands(one), _operands(other))
        if united is not None:
            return joined(
                Or, [united if arg is one else arg for arg in expr.args if arg is not other]
            )
    return None


def _united(one: tuple[Expr, ...], other: tuple[Expr, ...]) -> Expr | None:
    """Return two conjunctions as one that holds where either does."""
    first = _range([arg for arg in one if arg not in other])
    second = _range([arg for arg in other if arg not in one])
    if first is None or second is None or first.variable != second.variable:
        return None
    if not (_meets(first, second) and _meets(second, first)):
        return None
    bounds = _bounds(_hull(first, second))
    return None if bounds is None else joined(And, [*(arg for arg in one if arg in other), *bounds])


def _operands(arg: Expr) -> tuple[Expr, ...]:
    return arg.args if isinstance(arg, And) else (arg,)


def _range(args: list[Expr]) -> Range | None:
    """Return the range that all of ``args`` leave to one variable, None if they are not that."""
    result: Range | None = None
    for arg in args:
        item = _single(constraint(arg))
        if item is None or (result is not None and item.variable != result.variable):
            return None
        result = item if result is None else _both(result, item)
    return result


def _single(found: Constraint | None) -> Range | None:
    """Return a constraint as a range of a variable whose first factor is positive."""
    if found is None or found.kind is Kind.NE or not found.form.terms:
        return None
    variable, constant = found.form.variable, found.form.constant
    if variable.terms[0][1] > 0:
        return Range(variable, -constant, -constant if found.kind is Kind.EQ else None)
    return Range(-variable, constant if found.kind is Kind.EQ else None, constant)


def _both(one: Range, other: Range) -> Range:
    firsts = [side.first for side in (one, other) if side.first is not None]
    lasts = [side.last for side in (one, other) if side.last is not None]
    return Range(one.variable, max(firsts, default=None), min(lasts, default=None))


def _meets(one: Range, other: Range) -> bool:
    """Tell whether nothing lies between the end of ``one`` and the beginning of ``other``."""
    return one.last is None or other.first is None or other.first <= one.last + 1


def _hull(one: Range, other: Range) -> Range:
    unbounded_below = one.first is None or other.first is None
    unbounded_above = one.last is None or other.last is None
    firsts = [side.first for side in (one, other) if side.first is not None]
    lasts = [side.last for side in (one, other) if side.last is not None]
    return Range(
        one.variable,
        None if unbounded_below else min(firsts),
        None if unbounded_above else max(lasts),
    )


def _bounds(hull: Range) -> list[Expr] | None:
    """Return a range as comparisons, None where a text cannot hold their constants."""
    bounds: list[Expr] = []
    if hull.first is not None:
        written = shown(Constraint(Kind.GE, hull.variable.shifted(-hull.first)))
        if written is None:
            return None
        bounds.append(written)
    if hull.last is not None:
        written = shown(Constraint(Kind.GE, (-hull.variable).shifted(hull.last)))
        if written is None:
            return None
        bounds.append(written)
    return bounds
