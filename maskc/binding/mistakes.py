"""Calls that are legal and almost surely wrong.

Codes: M702 fewer queries than keys without an offset, M703 a grid of another size than the
sequence, M704 other sizes than a definition needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from maskc.binding.call import CallSpec
from maskc.compiled import Compiled
from maskc.elaborate.needs import Need
from maskc.errors import MaskcWarning
from maskc.ir.nodes import (
    Axis,
    Compare,
    Coord,
    Expr,
    Index,
    IntConst,
    Load,
    Module,
    Same,
    Size,
    children,
    walk,
)
from maskc.ir.rows import Position
from maskc.ir.types import Dim, Ix, Sz

LENGTHS = (Sz.Q_LEN, Sz.KV_LEN)


def mistakes_of_call(
    program: Compiled, spec: CallSpec, given: Mapping[str, Any], placed: bool
) -> tuple[MaskcWarning, ...]:
    """Return the likely mistakes of a call.

    Args:
        program: what is called.
        spec: the call.
        given: its inputs.
        placed: whether the caller said where the rows stand, by offsets or positions.

    """
    if placed or (spec.q, spec.k) != (Position.ROW, Position.ROW):
        return ()
    module = program.module
    found = [
        _unplaced(module.mask, program.written.mask, spec, given),
        _off_grid(module, spec),
        *(_other_sizes(need, spec) for need in program.needs),
    ]
    return tuple(one for one in found if one is not None)


def _other_sizes(need: Need, spec: CallSpec) -> MaskcWarning | None:
    """Warn of an argument that does not go with the sizes of the call."""
    if not need.is_broken(spec.sizes):
        return None
    shown = " and ".join(f"`{which.value}` is {spec.sizes[which]}" for which in need.sizes)
    help = (
        f"{need.help}; where the rows are a part of the sequence, say where they stand: "
        "`kv_offset=0`"
    )
    return MaskcWarning("M704", f"{need.message}, where {shown}", need.span, help)


def _unplaced(
    mask: Expr, written: Expr, spec: CallSpec, given: Mapping[str, Any]
) -> MaskcWarning | None:
    """Warn of a decode step without its place: its one query would stand at position 0."""
    queries, keys = (spec.sizes[which] for which in LENGTHS)
    if queries >= keys:
        return None
    if any(isinstance(term, Size) and term.which in LENGTHS for term in walk(mask)):
        return None
    if next(_query_positions(mask, given, queries), None) is None:
        return None
    read = next(_query_positions(written, given, queries), written)
    message = f"`q` counts from 0 in a call of {keys} keys and fewer queries, {queries}"
    help = (
        f"behind a cache they stand later: `q_offset={keys - queries}`; where that is meant, "
        "say `q_offset=0`"
    )
    return MaskcWarning("M702", message, read.span or written.span, help)


def _query_positions(expr: Expr, given: Mapping[str, Any], queries: int) -> Iterator[Expr]:
    """Yield where a query's position matters, but for tables that have one entry a query row."""
    match expr:
        case Index(Ix.Q):
            yield expr
        case Load(source, indices):
            value = given.get(source.name)
            shape = getattr(value, "shape", ())
            for place, index in enumerate(indices, start=len(shape) - len(indices)):
                fits = 0 <= place < len(shape) and shape[place] == queries
                if not (isinstance(value, tuple) or (isinstance(index, Index) and fits)):
                    yield from _query_positions(index, given, queries)
        case _:
            for child in children(expr):
                yield from _query_positions(child, given, queries)


def _off_grid(module: Module, spec: CallSpec) -> MaskcWarning | None:
    """Warn of a grid that is not the sequence's, unless the program asks what is on it."""
    for term in _coordinates(tuple(map(Same, module.roots))):
        side = Sz.Q_LEN if Dim.Q in term.deps else Sz.KV_LEN
        if spec.sizes[side] != _end(term.axis):
            return _other_grid(term, side, spec)
    return None


@lru_cache(maxsize=1024)
def _coordinates(roots: tuple[Same, ...]) -> tuple[Coord, ...]:
    """Return the coordinates on grids, none where a program asks what is on its grid."""
    terms = list(walk(*(root.expr for root in roots)))
    if any(isinstance(term, Compare) and _asks_whether_on_grid(term) for term in terms):
        return ()
    return tuple(term for term in terms if isinstance(term, Coord))


def _other_grid(term: Coord, side: Sz, spec: CallSpec) -> MaskcWarning:
    axis, length = term.axis, spec.sizes[side]
    before = f" from token {axis.start} on" if axis.start else ""
    message = f"the grid has {axis.count} tokens{before}, and `{side.value}` is {length}"
    help = (
        "give the axes the sizes of this sequence; where tokens beside the grid are meant, say "
        f"what they see, by `{'q' if side is Sz.Q_LEN else 'k'}.{axis.name} >= 0`"
    )
    return MaskcWarning("M703", message, term.span, help)


def _end(axis: Axis) -> int:
    return axis.start + axis.count


def _asks_whether_on_grid(term: Compare) -> bool:
    sides = (term.left, term.right)
    return any(isinstance(side, Coord) for side in sides) and any(
        isinstance(side, IntConst) for side in sides
    )
