"""Evaluate an expression on whole tiles at once, from the intervals of their rows.

The mirror image of ``maskc.ir.vectorize``: an index is an interval of rows where that has a row.
A term keeps only the dimensions it depends on, so with intervals of shapes ``[T, Q, 1]`` and
``[T, 1, K]`` what depends on q alone is worked out once for each interval of q. Sums of ints are
bounded as linear forms: bounding ``q - k`` and ``q + k`` by themselves would count q twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, assert_never

import torch
from torch import Tensor

from maskc.analysis.intervals import domain, floats, integers
from maskc.analysis.intervals.domain import ANY_INT, Bounds, Operand, Truth
from maskc.analysis.intervals.gather import Gather
from maskc.analysis.intervals.renumber_ids import renumber_ids
from maskc.ir.linear import Linear, linear
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
    Input,
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
from maskc.ir.operators import ArithOp, CompareOp, Fn, Gives
from maskc.ir.types import Ix, Sz, Type
from maskc.ir.vectorize import Domain
from maskc.limits import MAX_INT, MAX_INT64

Box = Mapping[Ix, Bounds]
"""Intervals of rows, one for each index; their broadcast shape is that of a set of tiles."""


class Reads(Protocol):
    """What is known of the elements of inputs, between bounds of their subscripts."""

    def numbers(self, source: Input, places: Sequence[Bounds]) -> Bounds:
        """Return the bounds of a number."""
        ...

    def booleans(self, source: Input, places: Sequence[Bounds]) -> Truth:
        """Return what is known of a boolean."""
        ...


class Cover:
    """What a boolean expression does on tiles of one domain."""

    def __init__(self, expr: Expr, domain: Domain) -> None:
        self.expr = expr
        self.domain = domain
        self._gather = Gather()
        self._most = min([MAX_INT64, *(_capacity(domain, name.name) for name in inputs(expr))])

    @cached_property
    def _renumbered(self) -> tuple[Expr, Mapping[str, Tensor]]:
        """What is asked instead, and the tensors that it reads."""
        return renumber_ids(self.expr, self.domain)

    def truth(self, box: Box) -> Truth:
        """Return whether the expression holds everywhere, or nowhere, on each tile of ``box``."""
        return self.evaluation(box).truth(self._renumbered[0])

    def evaluation(self, box: Box) -> Evaluation:
        """Return what evaluates terms on ``box``."""
        return Evaluation(self.domain.sizes, box, self, self._most)

    def numbers(self, source: Input, places: Sequence[Bounds]) -> Bounds:
        """Return the bounds of what is read."""
        return self._gather.numbers(source.name, self._renumbered[1][source.name], places)

    def booleans(self, source: Input, places: Sequence[Bounds]) -> Truth:
        """Return what is known of the booleans that are read."""
        return self._gather.booleans(source.name, self._renumbered[1][source.name], places)


@dataclass(slots=True)
class Evaluation:
    """The known values of the sub-terms on one box.

    Attributes:
        sizes: of the call.
        box: the intervals of rows.
        reads: what is known of the inputs.
        most: the largest int that arithmetic holds.

    """

    sizes: Mapping[Sz, int]
    box: Box
    reads: Reads
    most: int = MAX_INT64
    _truths: dict[Expr, Truth] = field(default_factory=dict)
    _numbers: dict[Expr, Bounds] = field(default_factory=dict)

    def truth(self, expr: Expr) -> Truth:
        """Return what is known of a boolean."""
        if expr not in self._truths:
            self._truths[expr] = self._truth(expr)
        return self._truths[expr]

    def number(self, expr: Expr) -> Bounds:
        """Return the bounds of a number."""
        if expr not in self._numbers:
            self._numbers[expr] = self._number(expr)
        return self._numbers[expr]

    def _truth(self, expr: Expr) -> Truth:
        match expr:
            case BoolConst(value):
                return Truth(value, not value)
            case Load(source, indices):
                return self.reads.booleans(source, [self.number(index) for index in indices])
            case Compare(op, left, right):
                return self._compare(op, left, right)
            case Not(arg):
                return ~self.truth(arg)
            case And(args):
                return domain.conjunction([self.truth(arg) for arg in args])
            case Or(args):
                return domain.disjunction([self.truth(arg) for arg in args])
            case Where(cond, then, other):
                return domain.choose(self.truth(cond), self.truth(then), self.truth(other))
            case Call(Fn.BOOL, (arg,)) if arg.type is Type.BOOL:
                return self.truth(arg)
            case Call(Fn.BOOL, (arg,)):
                return domain.compare(CompareOp.NE, self.number(arg), Bounds(0, 0))
            case _:
                raise AssertionError(f"a row program has no boolean {type(expr).__name__}")

    def _compare(self, op: CompareOp, left: Expr, right: Expr) -> Truth:
        if left.type is Type.BOOL:
            equal = domain.same(self.truth(left), self.truth(right))
            return equal if op is CompareOp.EQ else ~equal
        if left.type is Type.INT and right.type is Type.INT:
            a, b = linear(left), linear(right)
            if dict(a.terms).keys() & dict(b.terms).keys():
                difference = self._linear(a - b)
                if difference is not ANY_INT:
                    return domain.compare(op, difference, Bounds(0, 0))
        return domain.compare(op, self.number(left), self.number(right))

    def _linear(self, form: Linear) -> Bounds:
        terms = [(factor, self.number(term)) for term, factor in form.terms]
        return integers.total(terms, form.constant, self.most)

    def _number(self, expr: Expr) -> Bounds:
        match expr:
            case IntConst(value):
                return Bounds(value, value, abs(value))
            case FloatConst(value):
                return Bounds(value, value)
            case Index(which):
                return self.box[which]
            case Size(which):
                size = self.sizes[which]
                return Bounds(size, size, size)
            case Load(source, indices):
                return self.reads.numbers(source, [self.number(index) for index in indices])
            case Arith(op, left, right) if expr.type is Type.FLOAT:
                return _float_arithmetic(op, self.number(left), self.number(right))
            case Arith() | Call(Fn.NEG, _) if expr.type is Type.INT:
                return self._int_arithmetic(expr)
            case Call(Fn.INT | Fn.FLOAT as fn, (arg,)) if arg.type is Type.BOOL:
                return _zero_one(fn, self.truth(arg))
            case Call():
                return self._function(expr)
            case Where(cond, then, other):
                return domain.choose(self.truth(cond), self.number(then), self.number(other))
            case Coord() | TopK() | Value():
                raise AssertionError(f"the mask of a row program has no {type(expr).__name__}")
            case BoolConst() | Compare() | Not() | And() | Or() | Arith():
                raise AssertionError(f"a {type(expr).__name__} is no number")
            case _:
                assert_never(expr)

    def _int_arithmetic(self, expr: Expr) -> Bounds:
        form = linear(expr)
        if form != Linear(((expr, 1),), 0):
            return self._linear(form)
        assert isinstance(expr, Arith)
        a, b = self.number(expr.left), self.number(expr.right)
        match expr.op:
            case ArithOp.MUL if expr.left == expr.right:
                return integers.power(a, 2, self.most)
            case ArithOp.MUL:
                return integers.product(a, b, self.most)
            case ArithOp.FLOORDIV:
                return integers.quotient(a, b, self.most)
            case ArithOp.MOD:
                return integers.remainder(a, b, self.most)
            case ArithOp.POW:
                return integers.power(a, int(b.lo), self.most)
            case ArithOp.ADD | ArithOp.SUB | ArithOp.DIV:
                raise AssertionError(f"`{expr.op.symbol}` of ints is linear or a float")
            case _:
                assert_never(expr.op)

    def _function(self, expr: Call) -> Bounds:
        fn, args = expr.fn, [self.number(arg) for arg in expr.args]
        if all(map(_is_constant, args)):
            value = fn.value.scalar(*(arg.lo for arg in args))
            return Bounds(value, value, abs(int(value)) if expr.type is Type.INT else 0)
        if expr.type is Type.INT and all(arg.type is Type.INT for arg in expr.args):
            return integers.function(fn, args, self.most)
        if fn.value.gives is Gives.ROUNDED:
            return floats.rounded(fn, args[0])
        return floats.function(fn, args)


def _capacity(domain: Domain, name: str) -> int:
    """Return the largest int that arithmetic on an input holds: 32 bits or more."""
    dtype = domain.tensors[name].dtype
    if dtype.is_floating_point or dtype in (torch.bool, torch.int64):
        return MAX_INT64
    return MAX_INT


def _is_constant(value: Bounds) -> bool:
    return value.exact and isinstance(value.lo, int | float)


def _float_arithmetic(op: ArithOp, a: Bounds, b: Bounds) -> Bounds:
    if _is_constant(a) and _is_constant(b):
        value = float(op.value.scalar(a.lo, b.lo))
        return Bounds(value, value)
    return floats.arithmetic(op, a, b)


def _zero_one(fn: Fn, truth: Truth) -> Bounds:
    kind = int if fn is Fn.INT else float
    lo: Operand = domain.select(truth.always, kind(1), kind(0))
    hi: Operand = domain.select(truth.never, kind(0), kind(1))
    return Bounds(lo, hi, 1)
