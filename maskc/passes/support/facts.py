"""What is known where a term is evaluated: conditions that hold or fail, and bounds of ints.

A condition says it of the sides of its choice, an operand of ``&`` and ``|`` of those behind it,
and the mask of the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from maskc.ir.linear import Linear
from maskc.ir.nodes import FALSE, TRUE, And, BoolConst, Expr, Not, Or
from maskc.passes.booleans.negate import negated
from maskc.passes.booleans.normalize_comparisons import normalize_comparisons
from maskc.passes.support.constraint import Constraint, Kind, constraint
from maskc.passes.support.ranges import lowest

MOST = 24
"""More bounds than this are not looked at."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known where a term is evaluated.

    Attributes:
        values: the value of each condition that is known.
        bounds: forms that are at least 0.

    """

    values: Mapping[Expr, BoolConst] = field(default_factory=dict)
    bounds: tuple[Linear, ...] = ()

    def joined(self, other: Facts) -> Facts:
        """Return the facts of both."""
        bounds = tuple(dict.fromkeys((*self.bounds, *other.bounds)))
        return Facts({**self.values, **other.values}, bounds[:MOST])

    def lowest(self, form: Linear) -> int | None:
        """Return a lower bound of the form here, None if there is none.

        Where ``g >= 0``, ``f`` is at least the lowest value of ``f - n * g`` for any ``n > 0``.
        """
        rests = (form.plus(g, -n) for g in self.bounds for n in _multiples(form, g))
        result = (low for low in map(lowest, (form, *rests)) if low is not None)
        return max(result, default=None)

    def value(self, cond: Expr) -> BoolConst | None:
        """Return the value of a condition here, None if it is unknown."""
        if cond in self.values:
            return self.values[cond]
        result = constraint(cond) if self.bounds else None
        return None if result is None else self._decided(result)

    def _decided(self, found: Constraint) -> BoolConst | None:
        low, below = self.lowest(found.form), self.lowest(-found.form)
        if found.kind is Kind.GE:
            if low is not None and low >= 0:
                return TRUE
            return FALSE if below is not None and below > 0 else None
        if (low is not None and low > 0) or (below is not None and below > 0):
            return BoolConst(found.kind is Kind.NE)
        return BoolConst(found.kind is Kind.EQ) if low == below == 0 else None


NOTHING = Facts()


def facts(cond: Expr, value: bool) -> Facts:
    """Return what is known where ``cond`` is ``value``."""
    match cond, value:
        case (And(args), True) | (Or(args), False):
            known = Facts({cond: BoolConst(value)})
            for arg in args:
                known = known.joined(facts(arg, value))
            return known
        case Not(arg), _:
            return facts(arg, not value)
        case BoolConst(), _:
            return NOTHING
        case _:
            return Facts(dict(_values(cond, value)), _bounds(cond, value))


def _values(cond: Expr, value: bool) -> Iterator[tuple[Expr, BoolConst]]:
    yield cond, BoolConst(value)
    opposite = negated(cond)
    if opposite is not None:
        shown = normalize_comparisons(opposite)
        yield (opposite if shown is None else shown), BoolConst(not value)


def _bounds(cond: Expr, value: bool) -> tuple[Linear, ...]:
    result = constraint(cond)
    if result is None:
        return ()
    result = result if value else result.negated()
    match result.kind:
        case Kind.GE:
            return (result.form,)
        case Kind.EQ:
            return result.form, -result.form
        case Kind.NE:
            return ()


def _multiples(form: Linear, bound: Linear) -> set[int]:
    """Return the multiples of a bound that cancel a variable of the form."""
    factors = dict(bound.terms)
    shared = ((factor, factors[term]) for term, factor in form.terms if term in factors)
    return {a // b for a, b in shared if a % b == 0 and a // b > 0}
