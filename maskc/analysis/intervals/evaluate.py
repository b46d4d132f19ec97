"""Decide: evaluate an expression on whole tiles at once, from intervals of their rows.

The mirror image of ``maskc.ir.vectorize``: an index is an interval of rows where that has a row.
A term keeps only the dimensions it depends on, so with intervals of shapes ``[T, Q, 1]`` and
``[T, 1, K]`` what depends on q alone is worked out once for each interval of q.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import assert_never

from maskc.analysis.intervals import domain as bounds
from maskc.analysis.intervals import floats, integers
from maskc.analysis.intervals.affine import Affine, Linear
from maskc.analysis.intervals.domain import ANY_INT, MOST, Bounds, Operand, Truth
from maskc.analysis.intervals.gather import Gather
from maskc.analysis.tiles.renumber_ids import renumber_ids
from maskc.ir import evaluate
from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Coord,
    Expr,
    FloatConst,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
    inputs,
)
from maskc.ir.types import ArithOp, CompareOp, Fn, Ix, Type
from maskc.ir.vectorize import TORCH_FUNCTIONS, Domain, to_int

Box = Mapping[Ix, Bounds]
"""Intervals of rows, one for each index; their broadcast shape is that of a set of tiles."""


class Cover:
    """What a boolean expression does on tiles of one domain."""

    def __init__(self, expr: Expr, domain: Domain) -> None:
        self.expr = expr
        self.domain = domain
        self.asked, self.tensors = renumber_ids(expr, domain)
        self.affine = Affine(domain.sizes)
        self.gather = Gather()
        self.most = min([MOST, *(_capacity(domain, name.name) for name in inputs(expr))])

    def verdict(self, box: Box) -> Truth:
        """Return whether the expression holds everywhere, or nowhere, on each tile of ``box``."""
        return Evaluation(self, box).verdict(self.asked)


@dataclass(slots=True)
class Evaluation:
    """The known values of the sub-terms on one box."""

    cover: Cover
    box: Box
    verdicts: dict[Expr, Truth] = field(default_factory=dict)
    numbers: dict[Expr, Bounds] = field(default_factory=dict)

    def verdict(self, expr: Expr) -> Truth:
        """Return what is known of a boolean."""
        if expr not in self.verdicts:
            self.verdicts[expr] = self._verdict(expr)
        return self.verdicts[expr]

    def number(self, expr: Expr) -> Bounds:
        """Return the bounds of a number."""
        if expr not in self.numbers:
            self.numbers[expr] = self._number(expr)
        return self.numbers[expr]

    def _verdict(self, expr: Expr) -> Truth:
        match expr:
            case BoolConst(value):
                return Truth(value, not value)
            case Load(source, indices):
                tensor = self.cover.tensors[source.name]
                places = [self.number(index) for index in indices]
                return self.cover.gather.booleans(source.name, tensor, places)
            case Compare(op, left, right):
                return self._compare(op, left, right)
            case Not(arg):
                return ~self.verdict(arg)
            case And(args):
                return bounds.conjunction([self.verdict(arg) for arg in args])
            case Or(args):
                return bounds.disjunction([self.verdict(arg) for arg in args])
            case Where(cond, then, other):
                return bounds.choose(self.verdict(cond), self.verdict(then), self.verdict(other))
            case Call(Fn.BOOL, (arg,)):
                return self._truth(arg)
            case _:
                raise AssertionError(f"a row program has no boolean {type(expr).__name__}")

    def _truth(self, arg: Expr) -> Truth:
        if arg.type is Type.BOOL:
            return self.verdict(arg)
        return bounds.compare(CompareOp.NE, self.number(arg), Bounds(0, 0))

    def _compare(self, op: CompareOp, left: Expr, right: Expr) -> Truth:
        if left.type is Type.BOOL:
            equal = bounds.same(self.verdict(left), self.verdict(right))
            return equal if op is CompareOp.EQ else ~equal
        if left.type is Type.INT and right.type is Type.INT:
            a, b = self.cover.affine.form(left), self.cover.affine.form(right)
            if a.terms.keys() & b.terms.keys():
                difference = self._linear(a.plus(b, -1))
                if difference is not ANY_INT:
                    return bounds.compare(op, difference, Bounds(0, 0))
        return bounds.compare(op, self.number(left), self.number(right))

    def _linear(self, form: Linear) -> Bounds:
        terms = [(factor, self.number(term)) for term, factor in form.terms.items()]
        return integers.total(terms, form.constant, self.cover.most)

    def _number(self, expr: Expr) -> Bounds:
        match expr:
            case IntConst(value):
                return Bounds(value, value, abs(value))
            case FloatConst(value):
                return Bounds(value, value)
            case Index(which):
                return self.box[which]
            case Size(which):
                size = self.cover.domain.sizes[which]
                return Bounds(size, size, size)
            case Load(source, indices):
                tensor = self.cover.tensors[source.name]
                places = [self.number(index) for index in indices]
                return self.cover.gather.numbers(source.name, tensor, places)
            case Arith(op, left, right) if expr.type is Type.FLOAT:
                return _float_arithmetic(op, self.number(left), self.number(right))
            case Arith():
                return self._int_arithmetic(expr)
            case Call(fn, args) if fn in _FOLDS:
                return _fold(fn, [self.number(arg) for arg in args])
            case Call(Fn.INT | Fn.FLOAT as fn, (arg,)) if arg.type is Type.BOOL:
                return _zero_one(fn, self.verdict(arg))
            case Call(Fn.NEG, _) if expr.type is Type.INT:
                return self._linear(self.cover.affine.form(expr))
            case Call(fn, (arg,)):
                return self._function(fn, arg)
            case Where(cond, then, other):
                return bounds.choose(self.verdict(cond), self.number(then), self.number(other))
            case Coord() | TopK() | Value():
                raise AssertionError(f"the mask of a row program has no {type(expr).__name__}")
            case BoolConst() | Compare() | Not() | And() | Or() | Call():
                raise AssertionError(f"a {type(expr).__name__} is no number")
            case _:
                assert_never(expr)

    def _int_arithmetic(self, expr: Arith) -> Bounds:
        form = self.cover.affine.form(expr)
        if expr not in form.terms:
            return self._linear(form)
        a, b, most = self.number(expr.left), self.number(expr.right), self.cover.most
        match expr.op:
            case ArithOp.MUL if expr.left == expr.right:
                return integers.power(a, 2, most)
            case ArithOp.MUL:
                return integers.product(a, b, most)
            case ArithOp.FLOORDIV:
                return integers.quotient(a, b, most)
            case ArithOp.MOD:
                return integers.remainder(a, b, most)
            case ArithOp.POW:
                return integers.power(a, int(b.lo), most)
            case _:
                raise AssertionError(f"`{expr.op.value}` is linear")

    def _function(self, fn: Fn, arg: Expr) -> Bounds:
        value = self.number(arg)
        if _constant(value):
            constant = evaluate.function(fn, [value.lo])
            return Bounds(constant, constant, abs(int(constant)) if fn in _ROUNDS else 0)
        match fn:
            case Fn.ABS if arg.type is Type.INT:
                return integers.absolute(value, self.cover.most)
            case Fn.FLOOR | Fn.CEIL | Fn.ROUND | Fn.INT:
                return value if arg.type is Type.INT else _rounded(fn, value)
            case Fn.FLOAT:
                return value if arg.type is Type.FLOAT else _as_float(value)
            case _:
                return floats.function(fn, value)


_FOLDS = frozenset({Fn.MIN, Fn.MAX, Fn.CLAMP})
_ROUNDS = frozenset({Fn.FLOOR, Fn.CEIL, Fn.ROUND, Fn.INT})


def _capacity(domain: Domain, name: str) -> int:
    """Return the largest int that arithmetic on an input holds: 32 bits or more."""
    import torch

    dtype = domain.tensors[name].dtype
    if dtype.is_floating_point or dtype in (torch.bool, torch.int64):
        return MOST
    return 2**31 - 1


def _fold(fn: Fn, args: list[Bounds]) -> Bounds:
    """Return the bounds of a minimum, a maximum or a clamp: monotone in every argument."""
    reach = max(arg.reach for arg in args)
    lo = _folded(fn, [arg.lo for arg in args])
    exact = all(arg.exact for arg in args)
    return Bounds(lo, lo if exact else _folded(fn, [arg.hi for arg in args]), reach)


def _folded(fn: Fn, ends: list[Operand]) -> Operand:
    if fn is Fn.CLAMP:
        return bounds.least(bounds.greatest(ends[0], ends[1]), ends[2])
    return reduce(bounds.least if fn is Fn.MIN else bounds.greatest, ends)


def _constant(value: Bounds) -> bool:
    return value.exact and isinstance(value.lo, int | float)


def _float_arithmetic(op: ArithOp, a: Bounds, b: Bounds) -> Bounds:
    if _constant(a) and _constant(b):
        value = float(evaluate.arithmetic(op, a.lo, b.lo))
        return Bounds(value, value)
    return floats.arithmetic(op, a, b)


def _zero_one(fn: Fn, verdict: Truth) -> Bounds:
    kind = int if fn is Fn.INT else float
    lo: Operand = bounds.select(verdict.always, kind(1), kind(0))
    hi: Operand = bounds.select(verdict.never, kind(0), kind(1))
    return Bounds(lo, hi, 1)


def _as_float(value: Bounds) -> Bounds:
    """Return an int as a float of torch's default dtype."""
    import torch

    ends = [torch.as_tensor(end).to(torch.get_default_dtype()) for end in (value.lo, value.hi)]
    return Bounds(ends[0], ends[0] if value.exact else ends[1])


def _rounded(fn: Fn, value: Bounds) -> Bounds:
    """Return a float as an int; of an unknown one the ends of what a conversion can give."""
    import torch

    most = evaluate.LARGEST_INT
    lo, hi = torch.as_tensor(value.lo), torch.as_tensor(value.hi)
    unknown = lo.isnan() | hi.isnan()
    if fn is not Fn.INT:
        lo, hi = (getattr(torch, TORCH_FUNCTIONS[fn])(end) for end in (lo, hi))
    return Bounds(
        torch.where(unknown, -most, to_int(lo)), torch.where(unknown, most, to_int(hi)), most
    )
