"""The obvious meaning of an expression at one point: the specification of everything else.

Plain Python numbers, one (batch, head, q row, k row) at a time, no torch. Every pass, analysis and
lowering is tested against this file.

What functions and operators mean stands in the table (``maskc.ir.operators``). ``where`` and the
conditional evaluate the chosen side only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from maskc.ir.nodes import (
    And,
    Arith,
    Axis,
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
from maskc.ir.scalars import Number
from maskc.ir.types import Dim, Given, Ix, Sz, Type


@dataclass(frozen=True, slots=True)
class Point:
    """One element of the attention matrix, by the rows of this call's tensors."""

    batch: int = 0
    head: int = 0
    q_idx: int = 0
    kv_idx: int = 0


@dataclass(frozen=True, slots=True)
class Env:
    """What a program is evaluated in.

    Args:
        sizes: the size of every ``Sz``.
        inputs: for each input an array (``.shape``, ``[i, j]``) with one dimension a subscript,
            or one more in front, the batch; or a pair of them, for queries and for keys.
        q_position: the logical position of query row ``i`` of a batch; likewise ``k_position``.
        head_offset: what this call's head 0 is in the whole model.
        given: the values of ``score``, ``out`` and ``lse``.

    """

    sizes: Mapping[Sz, int]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    q_position: Callable[[int, int], int] = lambda batch, row: row
    k_position: Callable[[int, int], int] = lambda batch, row: row
    head_offset: int = 0
    given: Mapping[Given, float] = field(default_factory=dict)


def evaluate(expr: Expr, at: Point, env: Env) -> Number:
    """Return the value of ``expr`` at one point.

    Raises:
        IndexError: a subscript leaves its input.
        ZeroDivisionError: ``//`` or ``%`` by zero.

    """

    def value(term: Expr) -> Any:
        return evaluate(term, at, env)

    match expr:
        case BoolConst(constant) | IntConst(constant) | FloatConst(constant):
            return constant
        case Index(which):
            return _index(which, at, env)
        case Size(which):
            return env.sizes[which]
        case Value(which):
            return env.given[which]
        case Coord(position, axis):
            return coordinate(value(position), axis)
        case Load(source, indices):
            array = _side(env.inputs[source.name], indices)
            return _element(array, [int(value(index)) for index in indices], at.batch)
        case Arith(op, left, right):
            result = op.value.scalar(value(left), value(right))
            return float(result) if expr.type is Type.FLOAT else result
        case Call(fn, args):
            result = fn.value.scalar(*(value(arg) for arg in args))
            return float(result) if expr.type is Type.FLOAT else result
        case Compare(op, left, right):
            return op.value.scalar(value(left), value(right))
        case Not(arg):
            return not value(arg)
        case And(args):
            return all(value(arg) for arg in args)
        case Or(args):
            return any(value(arg) for arg in args)
        case Where(cond, then, other):
            chosen = value(then) if value(cond) else value(other)
            return float(chosen) if expr.type is Type.FLOAT else chosen
        case TopK(ranked, count, where):
            return _selected(ranked, count, where, at, env)
        case _:
            assert_never(expr)


def coordinate(position: int, axis: Axis) -> int:
    """Return where a token lies along an axis of the row-major grid, -1 outside the grid."""
    token = position - axis.start
    return token // axis.stride % axis.size if 0 <= token < axis.count else -1


def _index(which: Ix, at: Point, env: Env) -> int:
    match which:
        case Ix.BATCH:
            return at.batch
        case Ix.HEAD:
            return at.head + env.head_offset
        case Ix.KV_HEAD:
            group = env.sizes[Sz.NUM_HEADS] // env.sizes[Sz.NUM_KV_HEADS]
            return (at.head + env.head_offset) // group
        case Ix.Q_IDX:
            return at.q_idx
        case Ix.KV_IDX:
            return at.kv_idx
        case Ix.Q:
            return env.q_position(at.batch, at.q_idx)
        case Ix.K:
            return env.k_position(at.batch, at.kv_idx)
        case _:
            assert_never(which)


def _side(array: Any, indices: Sequence[Expr]) -> Any:
    """Return the array of a pair that is read: the one for keys if a subscript depends on k."""
    if not isinstance(array, tuple):
        return array
    return array[any(Dim.K in index.deps for index in indices)]


def _element(array: Any, indices: Sequence[int], batch: int) -> Number:
    shape = tuple(array.shape)
    if len(shape) > len(indices):
        indices = [batch, *indices]
    place = tuple(0 if size == 1 else i for i, size in zip(indices, shape, strict=True))
    if any(not 0 <= i < size for i, size in zip(place, shape, strict=True)):
        raise IndexError(f"{tuple(indices)} is outside {shape}")
    element: Number = array[place].item()
    return element


def _selected(ranked: Expr, count: int, where: Expr, at: Point, env: Env) -> bool:
    row = [Point(at.batch, at.head, at.q_idx, k) for k in range(env.sizes[Sz.KV_LEN])]
    allowed = [point for point in row if evaluate(where, point, env)]
    best = sorted(allowed, key=lambda point: (-evaluate(ranked, point, env), point.kv_idx))
    return at in best[:count]
