"""Logical positions to rows: the same program over the tensors of one call.

A program speaks of logical positions, whole-model heads, grid coordinates and inputs whose batch
may be left out. ``to_rows`` spells all of that out, so that what follows (analysis, generated
code, dense evaluation) knows four indices only: batch, head, q_idx and kv_idx, each a row of the
tensors at hand. What differs from call to call, such as an offset, becomes an input of its own
(its name is reserved, so no program can have it), and never a constant of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from maskc.errors import BindError
from maskc.ir.nodes import (
    And,
    Arith,
    Compare,
    Coord,
    Expr,
    Index,
    Input,
    IntConst,
    Load,
    Size,
    Where,
    rewrite,
)
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.types import Dim, Ix, Sz, Type, Word

BATCH, HEAD = Index(Ix.BATCH), Index(Ix.HEAD)
Q_ROW, KV_ROW = Index(Ix.Q_IDX), Index(Ix.KV_IDX)

Q_POSITION = Input("q_positions", Type.INT)
K_POSITION = Input("kv_positions", Type.INT)
HEAD_OFFSET = Input("head_offset", Type.INT)


class Position(Word):
    """How the logical position of a row is given."""

    ROW = "position i is row i"
    OFFSET = "an offset for all rows"
    BATCH_OFFSET = "an offset for each batch"
    TABLE = "a position for each row"
    BATCH_TABLE = "a position for each row of each batch"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a bound tensor is laid out: a batch in front or not, and which dimensions have size 1."""

    batched: bool
    unit: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything about a call that changes the program, and nothing that changes only values."""

    q: Position = Position.ROW
    k: Position = Position.ROW
    head_offset: bool = False
    group: int | None = None
    """Query heads for each key head; None leaves it to the sizes of the call."""
    shapes: Mapping[str, Shape | tuple[Shape, Shape]] = field(default_factory=dict)

    def __hash__(self) -> int:
        shapes = tuple(sorted(self.shapes.items(), key=lambda item: item[0]))
        return hash((self.q, self.k, self.head_offset, self.group, shapes))


def to_rows(expr: Expr, layout: Layout) -> Expr:
    """Return an expression of a program over rows.

    Raises:
        BindError: a pair is bound to an input with a subscript that is neither of q nor of k.

    """
    return rewrite(expr, lambda term: _to_row(term, layout))


def side_name(name: str, side: str) -> str:
    """Return the name of one tensor of a pair; no program can write it."""
    return f"{name}@{side}"


def _to_row(term: Expr, layout: Layout) -> Expr | None:
    match term:
        case Index(Ix.Q):
            return _position(Q_ROW, layout.q, Q_POSITION)
        case Index(Ix.K):
            return _position(KV_ROW, layout.k, K_POSITION)
        case Index(Ix.HEAD):
            return _head(layout)
        case Index(Ix.KV_HEAD) if layout.group == 1:
            return _head(layout)
        case Index(Ix.KV_HEAD):
            return Arith(ArithOp.FLOORDIV, _head(layout), _group(layout))
        case Coord():
            return _coordinate(term)
        case Load():
            return _load(term, layout)
        case _:
            return None


def _position(row: Index, position: Position, table: Input) -> Expr:
    match position:
        case Position.ROW:
            return row
        case Position.OFFSET:
            return Arith(ArithOp.ADD, row, Load(table, ()))
        case Position.BATCH_OFFSET:
            return Arith(ArithOp.ADD, row, Load(table, (BATCH,)))
        case Position.TABLE:
            return Load(table, (row,))
        case Position.BATCH_TABLE:
            return Load(table, (BATCH, row))
        case _:
            assert_never(position)


def _head(layout: Layout) -> Expr:
    return Arith(ArithOp.ADD, HEAD, Load(HEAD_OFFSET, ())) if layout.head_offset else HEAD


def _group(layout: Layout) -> Expr:
    if layout.group is not None:
        return IntConst(layout.group)
    return Arith(ArithOp.FLOORDIV, Size(Sz.NUM_HEADS), Size(Sz.NUM_KV_HEADS))


def _coordinate(term: Coord) -> Expr:
    """Write out ``(position - start) // stride % size``, and -1 outside the grid."""
    axis = term.axis
    token = term.position
    if axis.start:
        token = Arith(ArithOp.SUB, token, IntConst(axis.start))
    line = Arith(ArithOp.FLOORDIV, token, IntConst(axis.stride)) if axis.stride > 1 else token
    outermost = axis.stride * axis.size == axis.count
    place = line if outermost else Arith(ArithOp.MOD, line, IntConst(axis.size))
    inside = And(
        (
            Compare(CompareOp.LE, IntConst(0), token),
            Compare(CompareOp.LT, token, IntConst(axis.count)),
        )
    )
    return Where(inside, place, IntConst(-1), span=term.span)


def _load(term: Load, layout: Layout) -> Expr | None:
    """Put the batch in front where the tensor has one, and read row 0 of a size-1 dimension."""
    shape = layout.shapes.get(term.input.name)
    source = term.input
    if shape is None:
        return None
    if isinstance(shape, tuple):
        side = _side(term)
        source = Input(side_name(source.name, "qk"[side]), source.type)
        shape = shape[side]
    indices = (BATCH, *term.indices) if shape.batched else term.indices
    kept = tuple(
        IntConst(0) if unit else index for index, unit in zip(indices, shape.unit, strict=True)
    )
    return Load(source, kept, span=term.span)


def _side(term: Load) -> int:
    """Tell which tensor of a pair is read: 0 for queries, 1 for keys."""
    deps = Dim.NONE
    for index in term.indices:
        deps |= index.deps
    match Dim.Q in deps, Dim.K in deps:
        case True, False:
            return 0
        case False, True:
            return 1
        case _:
            name = term.input.name
            raise BindError(
                "M410",
                f"`{name}` is bound to a pair, but a subscript of it is neither of q nor of k",
                term.span,
                "bind one tensor that covers all positions",
            )
