"""A comparison of ints as a linear form and 0, and the one way to write it.

Closed under negation, so that the laws for ``|`` are those for ``&`` of the negations.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskc.ir.linear import Linear, fits, linear, to_expr
from maskc.ir.nodes import Arith, BoolConst, Compare, Expr, Index, IntConst
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.places import cached_by_place
from maskc.ir.types import Dim, Ix, Type, Word
from maskc.limits import MAX_INT
from maskc.passes.numbers.normalize_sums import rejoined
from maskc.passes.support.ranges import highest, lowest


class Kind(Word):
    """How the form stands to 0."""

    GE = ">="
    EQ = "=="
    NE = "!="


@dataclass(frozen=True, slots=True)
class Constraint:
    """``form >= 0``, ``form == 0`` or ``form != 0``."""

    kind: Kind
    form: Linear

    def negated(self) -> Constraint:
        """Return the constraint that holds where this one does not."""
        match self.kind:
            case Kind.GE:
                return Constraint(Kind.GE, (-self.form).shifted(-1))
            case Kind.EQ:
                return Constraint(Kind.NE, self.form)
            case Kind.NE:
                return Constraint(Kind.EQ, self.form)


@cached_by_place(8192)
def constraint(expr: Expr) -> Constraint | None:
    """Return the constraint that a comparison of ints is, None for other expressions."""
    match expr:
        case Compare(op, left, right) if left.type is right.type is Type.INT:
            form = linear(right) - linear(left)
        case _:
            return None
    match op:
        case CompareOp.LE:
            return Constraint(Kind.GE, form)
        case CompareOp.LT:
            return Constraint(Kind.GE, form.shifted(-1))
        case CompareOp.EQ:
            return Constraint(Kind.EQ, _leading(form))
        case CompareOp.NE:
            return Constraint(Kind.NE, _leading(form))


def normal(found: Constraint) -> Constraint | bool:
    """Return the constraint in lowest terms, or its value where that is known."""
    form = rejoined(found.form)
    common = form.content
    if common > 1:
        if found.kind is not Kind.GE and form.constant % common:
            return found.kind is Kind.NE
        terms = tuple((term, factor // common) for term, factor in form.terms)
        form = Linear(terms, form.constant // common)
    simpler = _decided(found.kind, form, lowest(form), highest(form))
    return simpler if isinstance(simpler, bool) else _unsigned(simpler)


def _unsigned(found: Constraint) -> Constraint:
    """Take the sign out of a remainder: ``-x % n`` is 0 where ``x % n`` is."""
    match found:
        case Constraint(
            Kind.EQ | Kind.NE as kind, Linear(((Arith(ArithOp.MOD, x, IntConst() as n), 1),), 0)
        ):
            form = linear(x)
            if form.terms and form.terms[0][1] < 0:
                return Constraint(kind, linear(Arith(ArithOp.MOD, to_expr(-form), n)))
    return found


def _decided(kind: Kind, form: Linear, low: int | None, high: int | None) -> Constraint | bool:
    match kind:
        case Kind.GE if low is not None and low >= 0:
            return True
        case Kind.GE if high is not None and high < 0:
            return False
        case Kind.GE if high == 0:
            return _decided(Kind.EQ, form, low, high)
        case Kind.GE if low == -1 and _is_remainder(form):
            return _decided(Kind.NE, form.shifted(1), 0, None if high is None else high + 1)
        case Kind.EQ | Kind.NE if (low is not None and low > 0) or (high is not None and high < 0):
            return kind is Kind.NE
        case Kind.EQ | Kind.NE if low == high == 0:
            return kind is Kind.EQ
        case Kind.NE if low == 0 and high == 1:
            return Constraint(Kind.EQ, _leading(form.shifted(-1)))
        case Kind.NE if low == -1 and high == 0:
            return Constraint(Kind.EQ, _leading(form.shifted(1)))
        case Kind.NE if low == 0 and not _is_remainder(form):
            return Constraint(Kind.GE, form.shifted(-1))
        case Kind.NE if high == 0 and not _is_remainder(form):
            return Constraint(Kind.GE, (-form).shifted(-1))
        case Kind.GE:
            return Constraint(kind, form)
        case _:
            return Constraint(kind, _leading(form))


def _is_remainder(form: Linear) -> bool:
    """Tell whether the form is ``x % n``, of which ``!= 0`` reads better than ``> 0``."""
    match form.terms:
        case ((Arith(ArithOp.MOD), _),):
            return True
        case _:
            return False


def _leading(form: Linear) -> Linear:
    """Return the form or its negation, whichever starts with a positive coefficient."""
    return -form if form.terms and form.terms[0][1] < 0 else form


def shown(found: Constraint) -> Expr | None:
    """Return the canonical comparison, None if its constants are too large to be written."""
    simplest = normal(found)
    if isinstance(simplest, bool):
        return BoolConst(simplest)
    form = simplest.form
    if not fits(form) or abs(form.constant) == MAX_INT:
        return None
    match simplest.kind:
        case Kind.GE:
            return _bound(form)
        case Kind.EQ:
            return _equality(CompareOp.EQ, form)
        case Kind.NE:
            return _equality(CompareOp.NE, form)


def is_distance(form: Linear) -> bool:
    """Tell whether the form is a distance of a query and a key, either way round."""
    match form.terms:
        case ((Index(Ix.Q | Ix.Q_IDX), a), (Index(Ix.K | Ix.KV_IDX), b)):
            return a + b == 0
        case _:
            return False


def banded(form: Linear) -> Expr:
    """Write a bound of all the terms: ``2 <= x``, ``x < 9``, ``-3 < x``, ``x <= -3``."""
    if form.terms[0][1] > 0 and form.constant > 0:
        return Compare(CompareOp.LT, IntConst(-form.constant - 1), to_expr(form.variable))
    if form.terms[0][1] > 0:
        return Compare(CompareOp.LE, IntConst(-form.constant), to_expr(form.variable))
    if form.constant < 0:
        return Compare(CompareOp.LE, to_expr(-form.variable), IntConst(form.constant))
    return Compare(CompareOp.LT, to_expr(-form.variable), IntConst(form.constant + 1))


def _bound(form: Linear) -> Expr:
    """Write ``k <= q``; another bound of ``q - k`` keeps the distance together."""
    if is_distance(form) and form.constant not in (0, -1):
        return banded(form)
    subject, rest = _parted(form)
    if not rest.terms:
        return _crossed(form) if form.constant in (0, -1) and _mixed(form) else banded(form)
    if subject.terms[0][1] > 0:
        return _ordered(-rest, subject)
    return _ordered_above(-subject, rest)


def _ordered(low: Linear, subject: Linear) -> Expr:
    """Write ``low <= subject``."""
    if low.constant == 1:
        return Compare(CompareOp.LT, to_expr(low.variable), to_expr(subject))
    return Compare(CompareOp.LE, to_expr(low), to_expr(subject))


def _ordered_above(subject: Linear, high: Linear) -> Expr:
    """Write ``subject <= high``."""
    if high.constant == 0:
        return Compare(CompareOp.LE, to_expr(subject), to_expr(high))
    return Compare(CompareOp.LT, to_expr(subject), to_expr(high.shifted(1)))


def _equality(op: CompareOp, form: Linear) -> Expr:
    subject, rest = _parted(form)
    if is_distance(form) and form.constant:
        return Compare(op, to_expr(form.variable), IntConst(-form.constant))
    if not rest.terms:
        if form.constant == 0 and _mixed(form):
            left, right = _signed(form)
            return Compare(op, to_expr(left), to_expr(right))
        return Compare(op, to_expr(form.variable), IntConst(-form.constant))
    if subject.terms[0][1] < 0:
        subject, rest = -subject, -rest
    if any(Dim.K in term.deps for term, _ in subject.terms):
        return Compare(op, to_expr(-rest), to_expr(subject))
    return Compare(op, to_expr(subject), to_expr(-rest))


def _crossed(form: Linear) -> Expr:
    """Write what is subtracted below what is added."""
    high, low = _signed(form)
    op = CompareOp.LE if form.constant == 0 else CompareOp.LT
    return Compare(op, to_expr(low), to_expr(high))


def _mixed(form: Linear) -> bool:
    return len({factor > 0 for _, factor in form.terms}) == 2


def _signed(form: Linear) -> tuple[Linear, Linear]:
    """Return what is added and what is subtracted, without the constant."""
    added = Linear(tuple(item for item in form.terms if item[1] > 0), 0)
    subtracted = Linear(tuple((term, -factor) for term, factor in form.terms if factor < 0), 0)
    return added, subtracted


def _parted(form: Linear) -> tuple[Linear, Linear]:
    """Return the part that a comparison is about, and the rest with the constant.

    That is what depends on k: kernels pack ``low(q) <= k < high(q)``. Else what depends on q, else
    the first term.
    """
    for dim in (Dim.K, Dim.Q):
        subject = tuple(item for item in form.terms if dim in item[0].deps)
        if subject:
            break
    else:
        subject = form.terms[:1]
    rest = tuple(item for item in form.terms if item not in subject)
    return Linear(subject, 0), Linear(rest, form.constant)
