"""A row program at many points at once, in numpy: what a picture needs, without torch.

Ints and booleans are numpy's; a function that numpy has no short word for is called point by point
with the meaning that the table of operators has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from maskc.ir.domain import ROW_INDICES, Domain
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
)
from maskc.ir.operators import ArithOp, Fn, Gives
from maskc.ir.types import Ix, Type

Array = NDArray[Any]


@dataclass(slots=True)
class Points:
    """Points of the attention matrix, by the rows of the call; the arrays broadcast.

    Attributes:
        domain: tensors, or arrays, and sizes.
        at: where the points lie.
        score: the score that a program changes.

    """

    domain: Domain
    at: Mapping[Ix, Array]
    score: float = 0.0
    memo: dict[Expr, Array] = field(default_factory=dict)

    def of(self, expr: Expr) -> Array:
        """Return the values of a row expression; subscripts are kept inside their inputs."""
        if expr not in self.memo:
            self.memo[expr] = self._of(expr)
        return self.memo[expr]

    def _of(self, expr: Expr) -> Array:
        match expr:
            case BoolConst(value) | FloatConst(value):
                return np.asarray(value)
            case IntConst(value):
                return np.asarray(value, np.int64)
            case Index(which):
                return self.at[which]
            case Size(which):
                return np.asarray(self.domain.sizes[which], np.int64)
            case Value():
                return np.asarray(self.score)
            case Load(source, indices):
                return self._element(as_array(self.domain.tensors[source.name]), indices, expr)
            case Arith(op, left, right):
                return self._arithmetic(op, self.of(left), self.of(right), expr.type)
            case Call(fn, args):
                return self._call(fn, [self.of(arg) for arg in args], args[0].type, expr.type)
            case Compare(op, left, right):
                result: Array = op.value.tensor(self.of(left), self.of(right))
                return result
            case Not(arg):
                return ~self.of(arg)
            case And(args):
                return reduce(operator.and_, map(self.of, args))
            case Or(args):
                return reduce(operator.or_, map(self.of, args))
            case Where(cond, then, other):
                return np.where(self.of(cond), self.of(then), self.of(other))
            case Coord() | TopK():
                raise AssertionError(f"a row program has no {type(expr).__name__}")
            case _:
                assert_never(expr)

    def _element(self, array: Array, indices: tuple[Expr, ...], expr: Expr) -> Array:
        places = [
            np.minimum(np.maximum(self.of(index), 0), size - 1)
            for index, size in zip(indices, array.shape, strict=True)
        ]
        found: Array = array[tuple(places)]
        kinds = {Type.INT: np.int64, Type.FLOAT: np.float64, Type.BOOL: np.bool_}
        return found.astype(kinds[expr.type], copy=False)

    def _arithmetic(self, op: ArithOp, left: Array, right: Array, kind: Type) -> Array:
        if kind is Type.INT and op in (ArithOp.FLOORDIV, ArithOp.MOD):
            if not right.all():
                right = np.where(right == 0, 1, right)
        elif op not in (ArithOp.ADD, ArithOp.SUB, ArithOp.MUL):
            return _one_by_one(op.value.scalar, (left, right), kind)
        with np.errstate(all="ignore"):
            result: Array = op.value.tensor(left, right)
        return result.astype(np.float64) if kind is Type.FLOAT else result

    def _call(self, fn: Fn, args: list[Array], given: Type, kind: Type) -> Array:
        if kind is Type.INT and fn in FUNCTIONS:
            return FUNCTIONS[fn](*args)
        if fn.value.gives is Gives.ROUNDED and given is Type.INT:
            return args[0]
        if fn is Fn.FLOAT:
            return args[0].astype(np.float64)
        return _one_by_one(fn.value.scalar, tuple(args), kind)


def everywhere(domain: Domain) -> dict[Ix, Array]:
    """Return all points of the attention matrix ``[B, H, Q, K]``."""
    found = {}
    for dim, which in enumerate(ROW_INDICES):
        shape = [1, 1, 1, 1]
        shape[dim] = -1
        found[which] = np.arange(domain.extent(which)).reshape(shape)
    return found


def as_array(x: Any) -> Array:
    """Return a tensor's own memory; what is only looked at may be an array from the start."""
    return x if isinstance(x, np.ndarray) else x.numpy(force=True)


def _one_by_one(scalar: Any, args: tuple[Array, ...], kind: Type) -> Array:
    """Return the scalar meaning at every point."""
    plain = [arg.astype(object) for arg in args]
    values = np.frompyfunc(scalar, len(args), 1)(*plain)
    dtypes = {Type.INT: np.int64, Type.FLOAT: np.float64, Type.BOOL: np.bool_}
    return np.asarray(values).astype(dtypes[kind])


FUNCTIONS: Mapping[Fn, Callable[..., Array]] = {
    Fn.NEG: operator.neg,
    Fn.ABS: np.abs,
    Fn.MIN: lambda *args: reduce(np.minimum, args),
    Fn.MAX: lambda *args: reduce(np.maximum, args),
    Fn.CLAMP: lambda x, low, high: np.minimum(np.maximum(x, low), high),
}
