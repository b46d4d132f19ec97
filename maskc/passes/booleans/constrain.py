"""Difference constraints: ``causal & window(512) & window(256)`` becomes ``0 <= q - k < 256``.

Bounds f >= 0 and g >= 0 are compared by the known range of their sum and difference: f follows
from g where f - g is never negative; both together are impossible where f + g is always negative,
and f == 0 where it is 0. For ``|`` the same laws hold of the negations. What is implied costs a
comparison a score; what is impossible is a mask with empty tiles only.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskc.ir.linear import Linear
from maskc.ir.nodes import FALSE, TRUE, And, Expr, Or
from maskc.passes.booleans.flatten import joined
from maskc.passes.support.constraint import Constraint, Kind, constraint, normal, shown
from maskc.passes.support.ranges import lowest

MOST = 24
"""Of more constraints than this, pairs are not compared."""


def constrain(expr: Expr) -> Expr | None:
    """Return a conjunction or disjunction without the bounds that others imply."""
    match expr:
        case And(args):
            flip = False
        case Or(args):
            flip = True
        case _:
            return None
    result = [constraint(arg) for arg in args]
    places = [place for place, item in enumerate(result) if item is not None]
    if not 2 <= len(places) <= MOST:
        return None
    given = [item.negated() if flip else item for item in result if item is not None]
    reduced = _reduced(given)
    if reduced is None:
        return TRUE if flip else FALSE
    kept = [(place, item) for place, item in zip(places, reduced, strict=True) if item is not None]
    if [item for _, item in kept] == given:
        return None
    return _rebuilt(expr, dict(kept), set(places), flip)


def _rebuilt(expr: And | Or, kept: dict[int, Constraint], places: set[int], flip: bool) -> Expr:
    operands: list[Expr] = []
    for index, arg in enumerate(expr.args):
        if index not in places:
            operands.append(arg)
        elif index in kept:
            item = kept[index].negated() if flip else kept[index]
            written = arg if item == constraint(arg) else shown(item)
            operands.append(arg if written is None else written)
    return joined(type(expr), operands)


def _reduced(given: Sequence[Constraint]) -> list[Constraint | None] | None:
    """Return what is left of a conjunction, item by item; None where it is impossible."""
    left: list[Constraint | None] = list(given)
    changed = True
    while changed:
        changed = False
        for i, first in enumerate(left):
            for j, second in enumerate(left):
                if i == j or first is None or second is None:
                    continue
                joint = _joined(first, second)
                if joint is None:
                    return None
                if joint != (first, second):
                    left[i], left[j] = joint
                    first = joint[0]
                    changed = True
    return left


Pair = tuple[Constraint | None, Constraint | None]


def _joined(first: Constraint, second: Constraint) -> Pair | None:
    """Return two constraints as one or two simpler ones, None where they contradict each other."""
    match first.kind, second.kind:
        case Kind.GE, Kind.GE:
            return _two_bounds(first, second)
        case Kind.EQ, _:
            return _with_equality(first, second)
        case Kind.GE, Kind.NE:
            return _with_gap(first, second)
        case _:
            return first, second


def _two_bounds(first: Constraint, second: Constraint) -> Pair | None:
    total = first.form + second.form
    if _is_negative(total):
        return None
    if not total.terms and total.constant == 0:
        return _simplest(Constraint(Kind.EQ, first.form)), None
    if _implies(first.form, second.form):
        return first, None
    return first, second


def _with_equality(first: Constraint, second: Constraint) -> Pair | None:
    """Substitute ``first.form == 0``."""
    forms = (first.form, -first.form)
    match second.kind:
        case Kind.GE:
            if any(_is_negative(second.form + form) for form in forms):
                return None
            if any(_implies(form, second.form) for form in forms):
                return first, None
        case Kind.EQ:
            if second.form in forms:
                return first, None
            if any(_is_negative(s + form) for s in (second.form, -second.form) for form in forms):
                return None
        case Kind.NE:
            if second.form in forms:
                return None
            if any(_apart(form, second.form) for form in forms):
                return first, None
    return first, second


def _with_gap(first: Constraint, second: Constraint) -> Pair | None:
    """Apply ``second.form != 0``: it tightens a bound at its edge and drops out beyond it."""
    if second.form in (first.form, -first.form):
        return _simplest(Constraint(Kind.GE, first.form.shifted(-1))), None
    if _apart(first.form, second.form):
        return first, None
    return first, second


def _implies(form: Linear, other: Linear) -> bool:
    """Tell whether ``other >= 0`` follows from ``form >= 0``."""
    low = lowest(other - form)
    return low is not None and low >= 0


def _apart(form: Linear, other: Linear) -> bool:
    """Tell whether ``other != 0`` follows from ``form >= 0``."""
    return any(_implies(form, side.shifted(-1)) for side in (other, -other))


def _is_negative(form: Linear) -> bool:
    """Tell whether the form is negative everywhere."""
    low = lowest(-form)
    return low is not None and low > 0


def _simplest(found: Constraint) -> Constraint:
    simpler = normal(found)
    return found if isinstance(simpler, bool) else simpler
