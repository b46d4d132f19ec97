"""What binding works out from shapes alone, once for each signature and shape.

A signature is a program's expressions and the structure of a call. It has a number, equal for equal
signatures, so that within ``torch.compile`` the work is a constant of the trace: binding the
tensors of a layer there asks for ``row_program(number, shapes)`` and traces nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from operator import index
from weakref import WeakValueDictionary

from maskc.analysis.intervals.exact_floats import converted
from maskc.analysis.intervals.int32 import counted
from maskc.binding.call import CallSpec
from maskc.binding.check_int32 import check_ints
from maskc.binding.check_reads import (
    Danger,
    Sides,
    check_counts,
    open_dangers,
    possible_dangers,
)
from maskc.errors import LoweringError
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import And, Expr, Same, TopK, inputs, walk
from maskc.ir.rows import Layout, Position, Shape, side_name, to_rows
from maskc.ir.types import Sz
from maskc.lower.constant_in_trace import ByNumber, constant_in_trace
from maskc.lower.plan import Facts, facts

Shapes = tuple[tuple[str, Sides], ...]

LENGTHS = (Sz.Q_LEN, Sz.KV_LEN)
"""The sizes that change from step to step of a decode loop."""


@dataclass(frozen=True, slots=True)
class RowsKey:
    """What decides row expressions: all of a call but its lengths.

    Attributes:
        roots: the expressions, over logical positions.
        q, k, head_offset, group: how positions and heads are given.
        counts: of batches and heads.

    """

    roots: tuple[Same, ...]
    q: Position
    k: Position
    head_offset: bool
    group: int
    counts: tuple[tuple[Sz, int], ...]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class CallSignature:
    """Expressions and the structure of a call.

    Attributes:
        number: equal for equal signatures.
        key: the expressions, and all of the call but its lengths.
        sizes: of the call.
        reached: where the roots matter, as far as no tensor is needed to tell; None: everywhere.

    """

    number: int
    key: RowsKey
    sizes: Mapping[Sz, int]
    reached: Expr | None

    @property
    def roots(self) -> tuple[Expr, ...]:
        """The expressions."""
        return tuple(root.expr for root in self.key.roots)


@dataclass(frozen=True, slots=True)
class RowProgram:
    """Row expressions for tensors of certain shapes.

    Attributes:
        exprs: the roots over rows.
        dangers: for each, the reads that only the tensors can tell to be safe.
        counted: the inputs whose values enter int arithmetic, or decide as floats.
        selects: whether a root selects keys, which takes tensors.
        facts: of a score and an epilogue; of a mask there are none.

    """

    exprs: tuple[Expr, ...]
    dangers: tuple[tuple[Danger, ...], ...]
    counted: tuple[str, ...]
    selects: bool
    facts: Facts | None


_signatures: WeakValueDictionary[int, CallSignature] = WeakValueDictionary()
_numbers = count()


def call_signature(
    roots: tuple[Expr, ...], spec: CallSpec, mask: Expr | None = None
) -> CallSignature:
    """Return the signature of expressions in a call.

    Args:
        roots: expressions over logical positions.
        spec: the call.
        mask: the mask over rows, where the roots matter only there.

    """
    make = _signature_in if spec.tensors or in_trace() else _kept_signature_in
    return make(tuple(map(Same, roots)), spec, None if mask is None else Same(mask))


def _signature_in(roots: tuple[Same, ...], spec: CallSpec, mask: Same | None) -> CallSignature:
    counts = tuple(item for item in spec.sizes.items() if item[0] not in LENGTHS)
    key = RowsKey(roots, spec.q, spec.k, spec.head_offset, spec.group, counts)
    return _signature(key, tuple(spec.sizes.items()), mask)


_kept_signature_in = lru_cache(maxsize=1024)(_signature_in)
"""Of a call without tensors, which is one object for equal calls."""


@lru_cache(maxsize=1024)
def _signature(key: RowsKey, sizes: tuple[tuple[Sz, int], ...], mask: Same | None) -> CallSignature:
    reached = None if mask is None else without_tensors(mask.expr)
    made = CallSignature(next(_numbers), key, dict(sizes), reached)
    _signatures[made.number] = made
    return made


@lru_cache(maxsize=4096)
def row_program(number: int, shapes: Shapes) -> RowProgram:
    """Return the row program of a signature for tensors of these shapes.

    Raises:
        BindError: a shape does not fit the sizes of the call.

    """
    signature = _signatures[number]
    rows = _rows(signature.key, shapes)
    check_ints(rows.exprs, signature.sizes, {})
    if rows.selects:  # it takes the tensors to tell, and all else may depend on it
        return RowProgram(rows.exprs, (), rows.counted, rows.selects, None)
    dangers = tuple(
        open_dangers(possible, signature.sizes, signature.reached) for possible in rows.dangers
    )
    return RowProgram(rows.exprs, dangers, rows.counted, rows.selects, rows.facts)


@lru_cache(maxsize=1024)
def _rows(key: RowsKey, shapes: Shapes) -> RowProgram:
    """Return the row program for all lengths at once, with whatever may go wrong at some.

    A decoder meets a new length at each step, and what this returns only once.

    Raises:
        BindError: a shape does not fit the batch or the heads of the call.

    """
    layouts = {name: layout_of(sides) for name, sides in shapes}
    roots = tuple(root.expr for root in key.roots)
    check_counts(roots, dict(shapes), dict(key.counts), key.head_offset)
    layout = Layout(key.q, key.k, key.head_offset, key.group, layouts)
    exprs = tuple(to_rows(root, layout) for root in roots)
    selects = _selects(*exprs)
    known = facts(*exprs) if len(exprs) > 1 and not selects else None
    dangers = tuple(possible_dangers(expr, dict(shapes)) for expr in exprs)
    return RowProgram(exprs, dangers, _counted(*exprs), selects, known)


_programs = ByNumber[RowProgram]()
_locations: dict[tuple[int, Shapes], int] = {}


@cache
def traced_row_program() -> Callable[[int, Shapes], RowProgram]:
    """Return ``row_program`` as a function that can be traced: dynamo runs it and looks no further.

    What it runs may return a number only, by which the trace then finds the row program.
    """

    def locate(number: int, shapes: Shapes) -> int:
        program = row_program(number, shapes)
        refuse_open(program, _signatures[number])
        location = _locations.get((number, shapes))
        if location is None:
            location = _locations.setdefault((number, shapes), _programs.add(program))
        return location

    constant = constant_in_trace(locate)

    def traced(number: int, shapes: Shapes) -> RowProgram:
        location = constant(index(number), tuple((name, _fixed(sides)) for name, sides in shapes))
        return _programs.get(location)

    return traced


def _fixed(sides: Sides) -> Sides:
    """Return shapes as ints; a dynamic length stays symbolic until it is forced."""
    return tuple((batched, tuple(map(index, shape))) for batched, shape in sides)


def refuse_open(program: RowProgram, signature: CallSignature, by_values: bool = True) -> None:
    """Refuse what shapes alone do not tell, for a trace has no tensors to look into.

    Args:
        program: of the signature.
        signature: of the call.
        by_values: whether also to refuse subscripts that read an input or an offset.

    Raises:
        LoweringError: only tensors tell that no subscript leaves its input.

    """
    dangers = [one for some in program.dangers for one in some if by_values or one.by_sizes]
    if program.selects or dangers:
        raise LoweringError(
            "M508",
            "within torch.compile, the program reads what only the tensors tell to be safe",
            signature.roots[0].span,
            "give these inputs to `bind`, outside of the compiled function",
        )


def tensor_names(name: str, sides: Sides) -> tuple[str, ...]:
    """Return the names of the tensors of an input, of a pair two."""
    return (name,) if len(sides) == 1 else tuple(side_name(name, side) for side in "qk")


def layout_of(sides: Sides) -> Shape | tuple[Shape, Shape]:
    """Return how the tensors of an input, one or a pair, are laid out."""
    shapes = [Shape(batched, tuple(size == 1 for size in shape)) for batched, shape in sides]
    return shapes[0] if len(shapes) == 1 else (shapes[0], shapes[1])


def without_tensors(mask: Expr) -> Expr | None:
    """Return the part of a mask that no tensor decides, None if there is none."""
    parts = mask.args if isinstance(mask, And) else (mask,)
    kept = tuple(part for part in parts if not inputs(part) and not _selects(part))
    if not kept:
        return None
    return kept[0] if len(kept) == 1 else And(kept)


def _counted(*exprs: Expr) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*counted(*exprs), *converted(*exprs))))


def _selects(*exprs: Expr) -> bool:
    return any(isinstance(term, TopK) for term in walk(*exprs))
