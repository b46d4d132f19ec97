"""The keys of a single query row, as a step of decoding has it: exact, and in a few microseconds.

With one row everything but the key is a number. A comparison that is linear in the key is then a
span of keys, worked out in Python ints; whatever else a mask of ints and booleans asks is one row
of numpy. The search for the ranges of many rows would give the same keys, and takes ten times as
long as this for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np

from maskc.analysis.key_ranges.ranges import Array
from maskc.analysis.key_ranges.values import Values
from maskc.ir.domain import ArrayDomain
from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import (
    And,
    BoolConst,
    Expr,
    Index,
    Load,
    Not,
    Or,
    Same,
    Size,
    TopK,
    walk,
)
from maskc.ir.rows import BATCH, HEAD
from maskc.ir.types import Ix, Sz, Type
from maskc.passes.support.constraint import Kind, constraint

Span = tuple[int, int]
"""The keys ``first <= k < stop``, at least one."""

Spans = tuple[Span, ...]
"""Keys as spans that ascend, and neither overlap nor touch."""

Keys = Spans | Array
"""The keys that are seen: spans, the same in all batches and heads, or booleans that broadcast to
``[B, H, K]``."""

Number = Sz | str
"""What is a number in a call: a size, or an offset by its name."""


class Row(NamedTuple):
    """The one query row of a call.

    Attributes:
        k_len: how many keys there are.
        sizes: of the call.
        numbers: these, and offsets and scalar inputs by their names.
        arrays: the inputs that the mask reads.

    """

    k_len: int
    sizes: Mapping[Sz, int]
    numbers: Mapping[Number, int]
    arrays: Mapping[str, Array]

    @property
    def whole(self) -> Spans:
        """All keys."""
        return ((0, self.k_len),)

    @property
    def domain(self) -> ArrayDomain:
        """All that the mask reads, as arrays."""
        numbers = {
            name: np.asarray(value, np.int64)
            for name, value in self.numbers.items()
            if isinstance(name, str)
        }
        tensors: Any = {**numbers, **self.arrays}
        nowhere: Any = None  # arrays have no device
        return ArrayDomain(self.sizes, tensors, nowhere)


class Affine(NamedTuple):
    """``constant + factor * key + sum(factor * number)``, of a term of the one query row."""

    constant: int
    factor: int
    numbers: tuple[tuple[Number, int], ...]

    def rest(self, row: Row) -> int:
        """Return the value at key 0."""
        result = self.constant
        for name, factor in self.numbers:
            result += factor * row.numbers[name]
        return result

    def reach(self, row: Row) -> Span:
        """Return the least value over the keys, and the one after the largest."""
        first = self.rest(row)
        last = first + self.factor * (row.k_len - 1)
        return min(first, last), max(first, last) + 1


@lru_cache(maxsize=1024)
def is_exact(mask: Expr) -> bool:
    """Tell whether numpy gives a mask as kernels do: it computes no floats, and selects nothing."""
    return not any(isinstance(term, TopK) or term.type is Type.FLOAT for term in walk(mask))


def keys_of_row(mask: Expr, row: Row) -> Keys:
    """Return the keys that the one query row attends to.

    Args:
        mask: a boolean row expression that ``is_exact``.
        row: the row.

    """
    match mask:
        case BoolConst(value):
            return row.whole if value else ()
        case Not(arg):
            return _denied(keys_of_row(arg, row), row)
        case And(args):
            parts = [keys_of_row(arg, row) for arg in args]
            return reduce(lambda one, other: _both(one, other, row), parts)
        case Or(args):
            parts = [keys_of_row(arg, row) for arg in args]
            return reduce(lambda one, other: _either(one, other, row), parts)
        case _:
            compared = _comparison(Same(mask))
            if compared is None:
                return _values(mask, row)
            kind, form, loads = compared
            return _compared(kind, form, loads, row) if loads else _span(kind, form, row)


def affine(index: Expr) -> Affine | None:
    """Return an int of the row and its keys as an affine form; None where it is more than that."""
    return _affine(Same(index))


def booleans(keys: Keys, row: Row) -> Array:
    """Return keys as booleans that broadcast to ``[B, H, K]``, the last dimension of all keys."""
    if isinstance(keys, np.ndarray):
        return np.broadcast_to(keys, (*keys.shape[:2], row.k_len))
    result = np.zeros((1, 1, row.k_len), np.bool_)
    for first, stop in keys:
        result[..., first:stop] = True
    return result


Factors = tuple[tuple[Load, int], ...]
"""What is read of inputs at each key, or at the query, and by what it is multiplied."""


@lru_cache(maxsize=4096)
def _affine(expr: Same) -> Affine | None:
    """Return an int as an affine form of the key; None where it is more than that."""
    found = _of_form(linear(expr.expr))
    return None if found is None or found[1] else found[0]


@lru_cache(maxsize=4096)
def _comparison(expr: Same) -> tuple[Kind, Affine, Factors] | None:
    """Return a comparison of ints with 0 as an affine form of the key, and what is read besides.

    None for any other boolean.
    """
    found = constraint(expr.expr)
    parts = None if found is None else _of_form(found.form)
    return None if found is None or parts is None else (found.kind, *parts)


def _of_form(form: Linear) -> tuple[Affine, Factors] | None:
    key = 0
    numbers: list[tuple[Number, int]] = []
    loads: list[tuple[Load, int]] = []
    for term, factor in form.terms:
        match term:
            case Index(Ix.Q_IDX):  # the one row is row 0
                pass
            case Index(Ix.KV_IDX):
                key = factor
            case Size(which):
                numbers.append((which, factor))
            case Load(source, ()):
                numbers.append((source.name, factor))
            case Load() if _places(Same(term)) is not None:
                loads.append((term, factor))
            case _:
                return None
    if key and loads:
        return None
    return Affine(form.constant, key, tuple(numbers)), tuple(loads)


@lru_cache(maxsize=4096)
def _places(expr: Same) -> tuple[Affine | None, ...] | None:
    """Return the subscripts of a load in affine forms, None for a batch or a head.

    None for the whole: they are others, or stand in another order than batch, head and key.
    """
    load = expr.expr
    assert isinstance(load, Load)
    result: list[Affine | None] = []
    last = -1
    for index in load.indices:
        form = None if index in (BATCH, HEAD) else _affine(Same(index))
        if form is None and index not in (BATCH, HEAD):
            return None
        if form is None or form.factor:
            place = 2 if form is not None else (BATCH, HEAD).index(index)
            if place <= last or (form is not None and form.factor != 1):
                return None
            last = place
        result.append(form)
    return tuple(result)


def _read(load: Load, row: Row) -> Array | int:
    """Return what a load reads ``[B | 1, H | 1, K]``, or the one int that it is."""
    array = row.arrays[load.input.name]
    at: list[slice | int] = []
    shape = [1, 1, 1]
    places = _places(Same(load)) or ()
    for index, form, size in zip(load.indices, places, array.shape, strict=True):
        if form is None:
            shape[0 if index == BATCH else 1] = size
            at.append(slice(None))
        else:
            first = form.rest(row)
            at.append(slice(first, first + row.k_len) if form.factor else first)
            shape[2] = row.k_len if form.factor else shape[2]
    found: Array = array[tuple(at)]
    return found.reshape(shape) if found.ndim else int(found)


def _compared(kind: Kind, form: Affine, loads: Factors, row: Row) -> Keys:
    """Return where what is read stands to 0 as ``kind`` says, with a number added."""
    rest, values = form.rest(row), []
    for load, factor in loads:
        found = _read(load, row)
        if isinstance(found, int):
            rest += factor * found
        else:
            values.append((found, factor))
    if not values:
        return _span(kind, Affine(rest, 0, ()), row)
    if len(values) == 1 and abs(values[0][1]) == 1:
        ((value, factor),) = values
        wanted = -rest * factor
    else:
        value = reduce(np.add, [x.astype(np.int64) * np.int64(factor) for x, factor in values])
        wanted, factor = -rest, 1
    if kind is Kind.GE:
        return _as_span(value >= wanted if factor > 0 else value <= wanted, row)
    return _as_span(value == wanted if kind is Kind.EQ else value != wanted, row)


def _as_span(true: Array, row: Row) -> Keys:
    """Return booleans, as a span where they are one for all batches and heads."""
    if true.size != row.k_len or true.shape[2] != row.k_len:
        return true
    flat = true.reshape(-1)
    count = int(np.count_nonzero(flat))
    if not count:
        return ()
    first = int(flat.argmax())
    return ((first, first + count),) if flat[first : first + count].all() else true


def _span(kind: Kind, form: Affine, row: Row) -> Spans:
    """Return the keys at which ``form`` stands to 0 as ``kind`` says."""
    rest, factor = form.rest(row), form.factor
    if kind is Kind.GE:
        if not factor:
            return row.whole if rest >= 0 else ()
        if factor > 0:
            return _within(-(rest // factor), row.k_len, row)
        return _within(0, rest // -factor + 1, row)
    if not factor:
        equal = row.whole if rest == 0 else ()
    else:
        place = -rest // factor
        equal = () if place * factor != -rest else _within(place, place + 1, row)
    return equal if kind is Kind.EQ else _gaps(equal, row)


def _within(first: int, stop: int, row: Row) -> Spans:
    first, stop = max(first, 0), min(stop, row.k_len)
    return ((first, stop),) if first < stop else ()


def _values(expr: Expr, row: Row) -> Keys:
    """Return a boolean at each key; what depends on the query is one value, and broadcasts."""
    if isinstance(expr, Load) and _places(Same(expr)) is not None:
        read = _read(expr, row)
        if isinstance(read, int):
            return row.whole if read else ()
        return _as_span(read, row)
    found = Values(row.domain).of(expr)
    return _as_span(found.reshape((1,) * (3 - found.ndim) + found.shape), row)


def _denied(keys: Keys, row: Row) -> Keys:
    return ~keys if isinstance(keys, np.ndarray) else _gaps(keys, row)


def _gaps(spans: Spans, row: Row) -> Spans:
    """Return the keys that lie in no span."""
    starts = (0, *(stop for _, stop in spans))
    stops = (*(first for first, _ in spans), row.k_len)
    return tuple((a, b) for a, b in zip(starts, stops, strict=True) if a < b)


def _both(one: Keys, other: Keys, row: Row) -> Keys:
    """Return the keys of both."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if isinstance(one, tuple) and one == row.whole:
            return other
        if isinstance(other, tuple) and other == row.whole:
            return one
        return booleans(one, row) & booleans(other, row)
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple((first, stop) for first, stop in pairs if first < stop)


def _either(one: Keys, other: Keys, row: Row) -> Keys:
    """Return the keys of any of two."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return booleans(one, row) | booleans(other, row)
    joined: list[Span] = []
    for first, stop in sorted((*one, *other)):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((first, stop))
    return tuple(joined)
