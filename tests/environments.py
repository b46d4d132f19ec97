"""Calls that fit a program: sizes, positions and tensors, and the program's meaning in them.

``environments(*expressions_or_modules)`` draws a ``Case`` for programs drawn by ``strategies.py``
and for parsed ones alike: the size of a tensor is found by evaluating every subscript at every
point, so no subscript leaves its tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Coord, Expr, Index, Input, Load, Module, inputs, walk
from maskc.ir.types import Dim, Given, Ix, Sz, Type

LENGTHS = [1, 2, 3, 5, 7, 8, 9]
RANGES = {"signed": (-4, 6), "gain": (1, 8), "widths": (0, 9), "prefix_len": (0, 9)}
RANGES_BY_TYPE = {Type.BOOL: (0, 1), Type.INT: (0, 4), Type.FLOAT: (-16, 16)}
"""The least and the largest value of an input, by name or type; of floats, in quarters."""
FLOATS = [torch.float32, torch.float32, torch.bfloat16, torch.float16]
"""The dtypes of float inputs; each holds their values exactly."""
DTYPES = {Type.BOOL: torch.bool, Type.INT: torch.int64, Type.FLOAT: torch.float32}


@dataclass(frozen=True)
class Case:
    """One call: its sizes, what it binds, and where its rows stand in the sequence."""

    batch_size: int
    num_heads: int
    num_kv_heads: int
    q_len: int
    kv_len: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    q_positions: torch.Tensor | None = None
    kv_positions: torch.Tensor | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes by the names of ``bind``'s arguments."""
        return {which.value: getattr(self, which.value) for which in Sz}

    def env(self, given: Mapping[Given, float] | None = None) -> Env:
        """Return the environment for ``evaluate``."""
        return Env(
            sizes={which: getattr(self, which.value) for which in Sz},
            inputs=self.inputs,
            q_position=_positions(self.q_positions),
            k_position=_positions(self.kv_positions),
            given=given or {},
        )

    def points(self) -> Iterator[Point]:
        """Yield every point of the attention matrix, the key running fastest."""
        for batch in range(self.batch_size):
            for head in range(self.num_heads):
                for q in range(self.q_len):
                    for k in range(self.kv_len):
                        yield Point(batch, head, q, k)

    def matrix(self, expr: Expr, score: torch.Tensor | None = None) -> torch.Tensor:
        """Evaluate ``expr`` everywhere: ``[B, H, Q, K]``, bool, int64 or float64.

        Args:
            expr: a mask, a score, or a part of one.
            score: ``[B, H, Q, K]``, what the kernel hands over as ``score``.

        """
        shape = self.batch_size, self.num_heads, self.q_len, self.kv_len
        flat = None if score is None else score.double().flatten().tolist()
        values = [
            evaluate(expr, at, self.env(None if flat is None else {Given.SCORE: flat[i]}))
            for i, at in enumerate(self.points())
        ]
        return torch.tensor(values, dtype=_exact(expr.type)).reshape(shape)

    def rows(self, expr: Expr, lse: torch.Tensor, out: float = 1.0) -> torch.Tensor:
        """Evaluate an epilogue for one element ``out``: ``[B, H, Q]``, float64; lse likewise."""
        shape = self.batch_size, self.num_heads, self.q_len
        heads = [at for at in self.points() if at.kv_idx == 0]
        given = lse.double().flatten().tolist()
        values = [
            evaluate(expr, at, self.env({Given.OUT: out, Given.LSE: given[i]}))
            for i, at in enumerate(heads)
        ]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)


@st.composite
def environments(
    draw: DrawFn,
    *programs: Expr | Module,
    positions: bool = False,
    pairs: bool = False,
    length: int | None = None,
) -> Case:
    """Draw sizes and tensors that fit ``programs``.

    Args:
        draw: hypothesis' own.
        programs: expressions and modules that are to be evaluated in the case.
        positions: also draw ``q_positions`` and ``kv_positions``, shifted or permuted.
        pairs: bind some inputs as a pair, one tensor for queries and one for keys.
        length: of queries and keys alike, drawn if None.

    """
    roots = [root for p in programs for root in (p.roots if isinstance(p, Module) else (p,))]
    possible = [n for n in LENGTHS if n <= _longest(roots)]
    lengths = st.sampled_from(possible) if length is None else st.just(length)
    kv_heads = draw(st.sampled_from([1, 2, 3]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 3] if kv_heads == 1 else [1, 2]))
    case = Case(draw(st.sampled_from([1, 2])), heads, kv_heads, draw(lengths), draw(lengths))
    if positions:
        least = 0 if _reads_by_position(roots) else -4
        case = replace(
            case,
            q_positions=draw(_shifted(case.batch_size, case.q_len, least)),
            kv_positions=draw(_shifted(case.batch_size, case.kv_len, least)),
        )
    return draw(_bound(case, roots, pairs))


@st.composite
def _bound(draw: DrawFn, case: Case, roots: list[Expr], pairs: bool) -> Case:
    """Draw a tensor for every input, those that subscripts read first."""
    loads: dict[Input, list[Load]] = {}
    for term in walk(*roots):
        if isinstance(term, Load):
            loads.setdefault(term.input, []).append(term)
    waiting = dict(loads)
    while waiting:
        ready = [table for table in waiting if not _read_by(loads[table]) & waiting.keys()]
        assume(ready)  # an input that is subscripted by itself has no smallest size
        for table in ready:
            read = waiting.pop(table)
            sides = _sides(read) if pairs and draw(st.booleans()) else None
            if sides is None:
                bound: Any = draw(_tensor(case, table, loads[table]))
            else:
                bound = tuple(draw(_tensor(case, table, side)) for side in sides)
            case = replace(case, inputs={**case.inputs, table.name: bound})
    return case


@st.composite
def _tensor(draw: DrawFn, case: Case, table: Input, loads: list[Load]) -> torch.Tensor:
    """Draw a tensor that all of ``loads`` stay inside of."""
    subscripts = zip(*(load.indices for load in loads), strict=True)
    shape = [draw(_dimension(case, indices)) for indices in subscripts]
    has_batch = any(Index(Ix.BATCH) in load.indices for load in loads)
    if not has_batch and draw(st.sampled_from([False, False, False, True])):
        shape.insert(0, draw(st.sampled_from([case.batch_size, 1])))
    return draw(_filled(table, tuple(shape)))


def _dimension(case: Case, indices: tuple[Expr, ...]) -> st.SearchStrategy[int]:
    """Draw the size of a dimension that ``indices`` run over; now and then 1, which broadcasts."""
    exact = {Ix.HEAD: case.num_heads, Ix.KV_HEAD: case.num_kv_heads, Ix.BATCH: case.batch_size}
    named = {index.which for index in indices if isinstance(index, Index)}
    sizes = [size for kind, size in exact.items() if kind in named]
    if sizes:
        return st.sampled_from([*sizes * 4, 1])
    reached = [value for index in set(indices) for value in _values(index, case)]
    assume(min(reached) >= 0)
    size = max(reached) + 1
    return st.sampled_from([size, size, size, size + 1, size + 2, 1])


def _values(index: Expr, case: Case) -> set[int]:
    env, deps = case.env(), index.deps
    points = product(
        range(case.batch_size),
        range(case.num_heads if Dim.HEAD in deps else 1),
        range(case.q_len if Dim.Q in deps else 1),
        range(case.kv_len if Dim.K in deps else 1),
    )
    return {int(evaluate(index, Point(*at), env)) for at in points}


@st.composite
def _filled(draw: DrawFn, table: Input, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    least, most = RANGES.get(table.name, RANGES_BY_TYPE[table.type])
    values = torch.randint(least, most + 1, shape, generator=generator)
    if shape and table.type is Type.INT and draw(st.booleans()):
        values = values.sort(-1).values
    if table.type is Type.FLOAT:
        return (values.float() / 4).to(draw(st.sampled_from(FLOATS)))
    return values.to(DTYPES[table.type])


@st.composite
def _shifted(draw: DrawFn, batch: int, length: int, least: int) -> torch.Tensor:
    """Draw logical positions of ``length`` rows, the same for all batches or one for each."""
    order = st.one_of(st.just(range(length)), st.permutations(range(length)))
    rows = [
        torch.tensor(draw(order)) + draw(st.integers(least, 3))
        for _ in range(batch if draw(st.booleans()) else 1)
    ]
    return rows[0] if len(rows) == 1 else torch.stack(rows)


def _positions(positions: torch.Tensor | None) -> Callable[[int, int], int]:
    if positions is None:
        return lambda batch, row: row
    known = positions.tolist()
    return (
        (lambda batch, row: known[batch][row])
        if positions.ndim == 2
        else (lambda batch, row: known[row])
    )


def _reads_by_position(roots: list[Expr]) -> bool:
    """Tell whether a tensor is subscripted by logical positions, which are at least 0 then."""
    loads = [term for term in walk(*roots) if isinstance(term, Load)]
    terms = walk(*(index for load in loads for index in load.indices))
    return any(isinstance(term, Index) and term.which in (Ix.Q, Ix.K) for term in terms)


def _longest(roots: list[Expr]) -> int:
    """Return the longest sequence whose coordinates can be subscripts as they are."""
    coordinates = [
        index.axis.count
        for term in walk(*roots)
        if isinstance(term, Load)
        for index in term.indices
        if isinstance(index, Coord)
    ]
    return min(coordinates, default=LENGTHS[-1])


def _read_by(loads: list[Load]) -> set[Input]:
    return set(inputs(*(index for load in loads for index in load.indices)))


def _sides(loads: list[Load]) -> tuple[list[Load], list[Load]] | None:
    """Return the loads for queries and those for keys, or None where a pair makes no sense."""
    by_key = [load for load in loads if any(Dim.K in index.deps for index in load.indices)]
    by_query = [load for load in loads if load not in by_key]
    plain = all(isinstance(index, Index) for load in loads for index in load.indices)
    return (by_query, by_key) if by_query and by_key and plain else None


def _exact(kind: Type) -> torch.dtype:
    return torch.float64 if kind is Type.FLOAT else DTYPES[kind]
