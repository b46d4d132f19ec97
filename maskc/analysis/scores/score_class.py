"""What a program does to the score: the class that decides how each backend can run it.

With s the scaled score, a score is ``s``, ``s + f``, ``s * c + f`` or something else. A bias goes
into a float mask; a factor goes into ``scale``, q and k, where it splits into factors of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maskc.ir.nodes import (
    Arith,
    Call,
    Compare,
    Expr,
    FloatConst,
    IntConst,
    Value,
    Where,
    walk,
)
from maskc.ir.operators import EVERYWHERE, ArithOp, Fn
from maskc.ir.types import Dim, Given

ONE = FloatConst(1.0)


@dataclass(frozen=True, slots=True)
class Identity:
    """The score as it is."""


@dataclass(frozen=True, slots=True)
class Additive:
    """``s + bias``; the bias does not read the score."""

    bias: Expr


@dataclass(frozen=True, slots=True)
class Scaled:
    """``s * constant * head * query * key + bias``; each factor is 1 where there is none.

    Attributes:
        constant: what every score is multiplied by.
        head: a factor that depends on batch and head only.
        query: a factor that depends on q (and batch, head): q is multiplied by it.
        key: a factor that depends on k (and batch, head): k is multiplied by it.
        bias: what is added, None for nothing.

    """

    constant: float = 1.0
    head: Expr = ONE
    query: Expr = ONE
    key: Expr = ONE
    bias: Expr | None = None


@dataclass(frozen=True, slots=True)
class General:
    """Any other function of the score; ``overflows`` if it can turn a finite score infinite."""

    score: Expr
    overflows: bool


ScoreClass = Identity | Additive | Scaled | General


def classify(score: Expr) -> ScoreClass:
    """Return the class of a simplified score.

    Folding a factor into q and k rounds once more than multiplying the score does. A line whose
    factor mixes q and k, such as ``s * w[q, k]``, is general: it is no product of one of each.
    """
    line = _line(score)
    scaled = None if line is None else _parted(line.factors, line.bias)
    if line is None or scaled is None:
        return General(score, _can_overflow(score))
    if line.factors:
        return scaled
    return Identity() if line.bias is None else Additive(line.bias)


def reads_score(expr: Expr) -> bool:
    """Tell whether ``expr`` reads the running score."""
    return any(isinstance(term, Value) and term.which is Given.SCORE for term in walk(expr))


@dataclass(frozen=True, slots=True)
class _Line:
    """``s`` times all factors, plus the bias."""

    factors: tuple[Expr, ...] = ()
    bias: Expr | None = None

    def raised(self, op: ArithOp, by: Expr) -> _Line:
        """Return the line with ``by`` added or subtracted."""
        if self.bias is not None:
            return _Line(self.factors, Arith(op, self.bias, by))
        return _Line(self.factors, by if op is ArithOp.ADD else Call(Fn.NEG, (by,)))

    def scaled(self, op: ArithOp, by: Expr) -> _Line:
        """Return the line multiplied or divided by ``by``."""
        factor = by if op is ArithOp.MUL else Arith(ArithOp.DIV, ONE, by)
        bias = None if self.bias is None else Arith(op, self.bias, by)
        return _Line((*self.factors, factor), bias)


def _line(expr: Expr) -> _Line | None:
    """Return a score as a line in ``s``, None if it is none."""
    match expr:
        case Value(Given.SCORE):
            return _Line()
        case Call(Fn.NEG, (arg,)):
            line = _line(arg)
            return None if line is None else line.scaled(ArithOp.MUL, FloatConst(-1.0))
        case Arith(ArithOp.ADD | ArithOp.SUB | ArithOp.MUL | ArithOp.DIV, left, right):
            if not reads_score(right):
                return _applied(_line(left), expr.op, right)
            if not reads_score(left):
                return _applied_left(expr.op, left, _line(right))
            return None
        case _:
            return None


def _applied(line: _Line | None, op: ArithOp, by: Expr) -> _Line | None:
    if line is None:
        return None
    return line.raised(op, by) if op in (ArithOp.ADD, ArithOp.SUB) else line.scaled(op, by)


def _applied_left(op: ArithOp, left: Expr, line: _Line | None) -> _Line | None:
    """Return ``left op line``."""
    if op is ArithOp.SUB and line is not None:
        return line.scaled(ArithOp.MUL, FloatConst(-1.0)).raised(ArithOp.ADD, left)
    return None if op is ArithOp.DIV else _applied(line, op, left)


def _parted(factors: tuple[Expr, ...], bias: Expr | None) -> Scaled | None:
    """Return the factors by what they depend on, None if one depends on q and k."""
    constant = 1.0
    parts: dict[Dim, Expr] = {Dim.NONE: ONE, Dim.Q: ONE, Dim.K: ONE}
    for factor in _single(factors):
        value = _constant(factor)
        side = factor.deps & (Dim.Q | Dim.K)
        if value is not None:
            constant *= value
        elif side in parts:
            known = parts[side]
            parts[side] = factor if known == ONE else Arith(ArithOp.MUL, known, factor)
        else:
            return None
    return Scaled(constant, parts[Dim.NONE], parts[Dim.Q], parts[Dim.K], bias)


def _single(factors: tuple[Expr, ...]) -> Iterator[Expr]:
    """Yield the factors of products of floats one by one."""
    for factor in factors:
        match factor:
            case Arith(ArithOp.MUL, left, right):
                yield from _single((left, right))
            case Arith(ArithOp.DIV, left, right) if left != ONE:
                yield from _single((left, Arith(ArithOp.DIV, ONE, right)))
            case Call(Fn.NEG, (arg,)):
                yield from _single((FloatConst(-1.0), arg))
            case _:
                yield factor


def _constant(factor: Expr) -> float | None:
    match factor:
        case IntConst(value) | FloatConst(value):
            return float(value)
        case Arith(ArithOp.DIV, FloatConst(top), IntConst(value) | FloatConst(value)) if value:
            return top / value
        case _:
            return None


def _can_overflow(expr: Expr) -> bool:
    """Tell whether a finite score may become infinite or NaN, as by ``exp``, ``/`` and ``log``."""
    match expr:
        case _ if not reads_score(expr):
            return False
        case Value() | Compare():
            return False
        case Arith(ArithOp.ADD | ArithOp.SUB, left, right):
            return _can_overflow(left) or _can_overflow(right)
        case Arith(ArithOp.MUL, left, right):
            both = reads_score(left) and reads_score(right)
            return both or _can_overflow(left) or _can_overflow(right)
        case Arith(ArithOp.DIV, left, right):
            return _constant(right) in (None, 0.0) or _can_overflow(left)
        case Call(fn, args) if fn.value.tame_from == EVERYWHERE:
            return any(_can_overflow(arg) for arg in args)
        case Where(_, then, other):
            return _can_overflow(then) or _can_overflow(other)
        case _:
            return True
