"""Values of terms of one side, for all its rows at once, in numpy on the tensors' own memory.

A call of numpy costs a fifth of one of torch, and torch enters an OpenMP region on long tensors,
where it stalls while cores are shared. What has no meaning here is left to ``vectorize``.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from maskc.analysis.key_ranges.ranges import Array, number
from maskc.ir.domain import ArrayDomain, Domain
from maskc.ir.linear import Linear
from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Expr,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    Where,
)
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.points import FUNCTIONS, Points, as_array, everywhere
from maskc.ir.types import Dim, Ix, Type
from maskc.limits import MAX_INT

LARGEST = 2**62
"""A sum that may leave this is not computed."""

_DIMENSIONS = {Ix.BATCH: 0, Ix.HEAD: 1, Ix.Q_IDX: 2, Ix.KV_IDX: 2}
"""Where an index runs in ``[B, H, rows]``."""


@dataclass(slots=True)
class Values:
    """The values of terms that depend on q or on k, but not on both.

    Each is an array that broadcasts to ``[B, H, rows]``, the rows those of the side.
    """

    domain: Domain
    memo: dict[Expr, Array] = field(default_factory=dict)

    def of(self, expr: Expr) -> Array:
        """Return the values of an int or a boolean."""
        if expr not in self.memo:
            self.memo[expr] = self._of(expr)
        return self.memo[expr]

    def total(self, form: Linear, room: int = 0) -> Array | None:
        """Return the values of a linear form, None if 64 bits may not hold them.

        Args:
            form: of terms of one side.
            room: how many times the values, each increased by one, must fit the dtype too; those
                of an index do once.

        """
        match form:
            case Linear(((term, 1),), 0) if room == 0 or (room == 1 and isinstance(term, Index)):
                return self.of(term)
        reaches = (self._reach(term) * abs(factor) for term, factor in form.terms)
        reach = (sum(reaches) + abs(form.constant) + 1) * max(1, room)
        if reach > LARGEST:
            return None
        parts = [(self.of(term), factor) for term, factor in form.terms]
        # 32 bits take half the time and memory of 64
        is_narrow = reach <= MAX_INT and all(x.dtype == np.int32 for x, _ in parts)
        dtype = np.int32 if is_narrow else np.int64
        result: Array = np.asarray(form.constant, dtype)
        for x, factor in parts:
            x = x.astype(dtype, copy=False)
            result = result + (x if factor == 1 else factor * x)
        return result

    def _of(self, expr: Expr) -> Array:
        match expr:
            case BoolConst(value):
                return np.asarray(value)
            case IntConst(value):
                return number(value)
            case Size(which):
                return number(self.domain.sizes[which])
            case Index(which):
                return self._rows(which)
            case Load(_, indices) if expr.type is not Type.FLOAT:
                return self._load(expr, indices)
            case Not(arg):
                return ~self.of(arg)
            case And(args):
                return reduce(operator.and_, map(self.of, args))
            case Or(args):
                return reduce(operator.or_, map(self.of, args))
            case Compare(op, left, right) if Type.FLOAT not in (left.type, right.type):
                return self._compare(op, left, right)
            case Where(cond, then, other) if expr.type is not Type.FLOAT:
                return np.where(self.of(cond), self.of(then), self.of(other))
            case Arith(ArithOp.FLOORDIV | ArithOp.MOD as op, left, IntConst(divisor)) if (
                0 < divisor <= MAX_INT
            ):
                result: Array = op.value.tensor(self.of(left), divisor)  # no larger than either
                return result
            case Arith(op, left, right) if expr.type is Type.INT and op is not ArithOp.POW:
                return self._arithmetic(op, self._ints(left), self._ints(right))
            case Call(fn, args) if expr.type is Type.INT and fn in FUNCTIONS:
                return FUNCTIONS[fn](*map(self._ints, args))
            case _:
                return self._otherwise(expr)

    def _ints(self, expr: Expr) -> Array:
        """Return values of 64 bits, so that no sum of narrow inputs leaves their type."""
        return self.of(expr).astype(np.int64, copy=False)

    def _reach(self, expr: Expr) -> int:
        """Return the largest absolute value."""
        if isinstance(expr, Index):
            return self.domain.extent(expr.which)
        x = self.of(expr)
        return max(-int(x.min()), int(x.max())) if x.size else 0

    def _rows(self, which: Ix) -> Array:
        shape = [1, 1, 1]
        shape[_DIMENSIONS[which]] = -1
        return np.arange(self.domain.extent(which), dtype=np.int32).reshape(shape)

    def _arithmetic(self, op: ArithOp, left: Array, right: Array) -> Array:
        """Return ``left op right``; a divisor of 0 is taken as 1, as ``vectorize`` does."""
        if op in (ArithOp.FLOORDIV, ArithOp.MOD) and not right.all():
            right = np.where(right == 0, 1, right)
        result: Array = op.value.tensor(left, right)
        return result

    def _compare(self, op: CompareOp, left: Expr, right: Expr) -> Array:
        result: Array = op.value.tensor(self.of(left), self.of(right))
        return result

    def _load(self, expr: Load, indices: tuple[Expr, ...]) -> Array:
        array = as_array(self.domain.tensors[expr.input.name])
        view = self._view(array, indices)
        if view is not None:
            return view
        places = [
            np.clip(self._ints(index), 0, size - 1)
            for index, size in zip(indices, array.shape, strict=True)
        ]
        result: Array = array[tuple(places)]
        return result

    def _view(self, array: Array, indices: tuple[Expr, ...]) -> Array | None:
        """Return an input that rows alone subscript, in order, without a copy."""
        shape, kept = [1, 1, 1], []
        last = -1
        for index, size in zip(indices, array.shape, strict=True):
            match index:
                case IntConst(0):
                    kept.append(slice(1))
                case Index(which) if _DIMENSIONS[which] > last:
                    last, extent = _DIMENSIONS[which], self.domain.extent(which)
                    if size < extent:
                        return None
                    shape[last] = extent
                    kept.append(slice(extent))
                case _:
                    return None
        return array[tuple(kept)].reshape(shape)

    def _otherwise(self, expr: Expr) -> Array:
        """Return the values by an interpreter that knows every term: in numpy only where it must.

        A kernel compares floats of 32 bits, and torch here does too.
        """
        side = 2 if Dim.K in expr.deps else 3
        if isinstance(self.domain, ArrayDomain):
            found = Points(self.domain, everywhere(self.domain)).of(expr)
            return found.reshape((1,) * (4 - found.ndim) + found.shape).squeeze(side)
        from maskc.ir.vectorize import dense

        values: Array = dense(expr, self.domain).squeeze(side).numpy(force=True)
        return values
