"""The steps of a decode loop: what changes from one to the next, and what that means for SDPA.

A step has one query, one key more than the last, and maybe tensors that grew with the cache. The
program over rows stays what it is, so a step asks only whether ints and subscripts still fit, and
which keys the query sees. What a binding has besides (a block mask, tables, an explanation) is
worked out when it is asked for, as if it were bound anew.

A loop is any program that is a mask of ints and booleans, on CPU, with offsets that are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.key_ranges.one_row import Keys, booleans, is_exact, keys_of_row
from maskc.analysis.key_ranges.row_terms import Number, Row
from maskc.binding.call import CallSpec, next_step
from maskc.binding.check_int32 import fits_nearby
from maskc.binding.inputs import read
from maskc.binding.plain import FLOATS
from maskc.binding.signature import call_signature, row_program
from maskc.compiled import Compiled
from maskc.ir.nodes import OUT, SCORE, Arith, Expr, IntConst, Load, walk
from maskc.ir.operators import ArithOp
from maskc.ir.rows import K_POSITION, Q_POSITION
from maskc.ir.types import Sz
from maskc.limits import MAX_INT
from maskc.lower.one_query.attend import Seen
from maskc.run.step_tables import Read, Table, counted_dims, reads, table

MOST_PAIRS = 2**22
"""Of a call with a mask tensor, over all batches and heads. A larger one chooses its backend."""

SIDES = ((Q_POSITION.name, "q_offset"), (K_POSITION.name, "kv_offset"))
"""The offsets of a step, by their names in a row program and as arguments."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the steps of a decode loop share.

    Attributes:
        mask: over rows.
        reads: the subscripts that may leave their inputs.
        fixed: the dimensions of inputs that run over batches or heads.
        spec: of the call that the loop began with.
        known: of how many bits sizes and offsets were whose ints were found to fit.

    """

    mask: Expr
    reads: tuple[Read, ...]
    fixed: Mapping[str, frozenset[int]]
    spec: CallSpec
    known: set[tuple[int, ...]] = field(default_factory=set)

    def step(
        self, kv_len: int, offsets: Mapping[str, int], tables: Mapping[str, Table]
    ) -> Step | None:
        """Return a step; None where an int may leave 32 bits, or a subscript its input."""
        row = self._row(kv_len, offsets, tables)
        if not (self._ints_fit(row, offsets) and self._reads_inside(row, offsets)):
            return None
        versions = tuple(one.tensor._version for one in tables.values())
        return Step(self, row, offsets, tables, versions, _seen(keys_of_row(self.mask, row), row))

    def _row(self, kv_len: int, offsets: Mapping[str, int], tables: Mapping[str, Table]) -> Row:
        sizes = {**self.spec.sizes, Sz.KV_LEN: kv_len}
        numbers: dict[Number, int] = {**cast(Any, sizes), **cast(Any, offsets)}
        arrays = {name: one.array for name, one in tables.items()}
        numbers |= {name: int(array) for name, array in arrays.items() if not array.ndim}
        return Row(kv_len, sizes, numbers, arrays)

    def _ints_fit(self, row: Row, offsets: Mapping[str, int]) -> bool:
        """Tell whether all ints do, which is worked out once for numbers of so many bits."""
        bits = row.k_len.bit_length(), *(n.bit_length() for n in offsets.values())
        key = *bits, *(n < 0 for n in offsets.values())
        if key not in self.known:
            ranges = {name: (n, n) for name, n in offsets.items()}
            if not fits_nearby((self.mask,), row.sizes, ranges):
                return False
            self.known.add(key)
        return True

    def _reads_inside(self, row: Row, offsets: Mapping[str, int]) -> bool:
        return all(one.is_inside(row, offsets) for one in self.reads)


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        loop: what it shares with the others.
        row: its sizes and numbers.
        offsets: those that are numbers, by name.
        tables: the tensors that the mask reads.
        versions: how often they had been changed in place.
        seen: what its query sees; None where it sees nothing, or the call is a large one.

    """

    loop: Loop
    row: Row
    offsets: Mapping[str, int]
    tables: Mapping[str, Table]
    versions: tuple[int, ...]
    seen: Seen | None

    @property
    def is_fresh(self) -> bool:
        """Whether the tensors are as they were."""
        return not self.versions or self.versions == tuple(
            one.tensor._version for one in self.tables.values()
        )

    def takes(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> bool:
        """Tell whether arguments are surely those of the call, without telling what is wrong."""
        if scale is not None and not (type(scale) is float and 0 < scale < math.inf):
            return False
        sizes = self.row.sizes
        if not type(q) is type(k) is type(v) is Tensor or q.dtype not in FLOATS:
            return False
        if q.is_nested or k.is_nested or v.is_nested:
            return False
        batch, heads, rows, width = q.shape if q.dim() == 4 else (0, 0, 0, 0)
        keys = batch, sizes[Sz.NUM_KV_HEADS], self.row.k_len
        return (
            (batch, heads, rows) == (sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_HEADS], 1)
            and k.shape == (*keys, width)
            and v.shape[:3] == keys
            and v.dim() == 4
            and width * v.shape[3] > 0
            and q.dtype is k.dtype is v.dtype
            and q.device == k.device == v.device == self.loop.spec.device
            and q.layout is k.layout is v.layout is torch.strided
        )

    def again(self) -> Step | None:
        """Return the step over its tensors as they are now."""
        return self.loop.step(self.row.k_len, self.offsets, self.tables)

    def spec(self) -> CallSpec:
        """Return the description of the step's call."""
        given = {argument: self.offsets.get(name) for name, argument in SIDES}
        return next_step(
            self.loop.spec,
            q_len=1,
            kv_len=self.row.k_len,
            q_positions=None,
            kv_positions=None,
            **given,
        )

    def at(
        self, kv_len: int | None, offsets: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Step | None:
        """Return a later step; None where it is none of this loop, or may be wrong.

        Args:
            kv_len: its number of keys, that of this one if None.
            offsets: its offsets by name, those of this one where they are None.
            given: tensors that are others now.

        """
        k_len = self.row.k_len if kv_len is None else kv_len
        if type(k_len) is not int or not 0 < k_len <= MAX_INT:
            return None
        moved = dict(self.offsets)
        for name, value in offsets.items():
            if value is None or (type(value) is int and value == moved.get(name, 0)):
                continue
            if type(value) is not int or not value or name not in moved:
                return None  # an offset of 0, or of each batch, makes another program over rows
            moved[name] = value
        tables = self.tables
        if given:
            tables = dict(tables)
            for name, value in given.items():
                before = tables.get(name)
                if before is None or not before.is_like(value, self.loop.fixed[name]):
                    return None
                tables[name] = table(value)
        return self.loop.step(k_len, moved, tables)


def begin(program: Compiled, spec: CallSpec, given: Mapping[str, Any]) -> Step | None:
    """Return a call as the step that a loop begins with; None where its next is to be bound anew.

    Args:
        program: the program.
        spec: the call, which was bound.
        given: its inputs.

    """
    module = program.module
    if (module.score, module.out, program.empty_rows) != (SCORE, OUT, "zero"):
        return None
    if spec.device.type != "cpu" or spec.sizes[Sz.Q_LEN] != 1:
        return None
    if any(name not in spec.numbers for name in spec.tensors):
        return None
    signature = call_signature((module.mask,), spec)
    shapes, tensors = read(signature.roots, given, spec)
    rows = row_program(signature.number, shapes)
    (mask,) = rows.exprs
    if not is_exact(mask) or any(name not in spec.numbers for name in rows.counted):
        return None
    if any(map(_may_divide_by_zero, walk(mask))):
        return None
    if not all(given.get(name) is x and _is_plain(x) for name, x in tensors.items()):
        return None
    loads = [term for term in walk(mask) if isinstance(term, Load) and term.input.name in tensors]
    fixed = {name: frozenset(counted_dims(name, loads)) for name in tensors}
    loop = Loop(mask, tuple(reads(loads)), fixed, spec)
    tables = {name: table(x) for name, x in tensors.items()}
    return loop.step(spec.sizes[Sz.KV_LEN], spec.numbers, tables)


def _is_plain(x: Any) -> bool:
    """Tell whether torch counts the changes of a tensor, which numpy can read as it is."""
    return type(x) is Tensor and not x.is_inference() and x.layout is torch.strided


def _may_divide_by_zero(term: Expr) -> bool:
    match term:
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor):
            return not (isinstance(divisor, IntConst) and divisor.value)
        case _:
            return False


def _seen(keys: Keys, row: Row) -> Seen | None:
    """Return keys as SDPA takes them; None where there are none, or too many for a mask."""
    if isinstance(keys, tuple):
        if not keys:
            return None
        if len(keys) == 1:
            return Seen(*keys[0], None)
    sizes = row.sizes
    if sizes[Sz.BATCH_SIZE] * sizes[Sz.NUM_HEADS] * row.k_len >= MOST_PAIRS:
        return None
    true = booleans(keys, row)
    some = np.logical_or.reduce(true.reshape(-1, row.k_len))
    first, stop = int(some.argmax()), row.k_len - int(some[::-1].argmax())
    if not some[first]:
        return None
    part = true[..., first:stop]
    if part.all():
        return Seen(first, stop, None)
    own = part.copy()  # of a backward pass, which may run after the tensor was changed in place
    return Seen(first, stop, torch.from_numpy(own).unsqueeze(2))
