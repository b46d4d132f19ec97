"""The keys of a single query row, as a step of decoding has it: exact, and in a few microseconds.

With one row everything but the key is a number. A comparison that is linear in the key is then a
span of keys, worked out in Python ints; whatever else a mask of ints and booleans asks is one row
of numpy. The search for the ranges of many rows would give the same keys, and takes ten times as
long as this for one.
"""

from __future__ import annotations

from functools import lru_cache, reduce

import numpy as np

from maskc.analysis.key_ranges.ranges import Array
from maskc.analysis.key_ranges.row_terms import (
    Affine,
    Factors,
    Row,
    Span,
    Spans,
    comparison,
    places,
)
from maskc.analysis.key_ranges.values import Values
from maskc.ir.nodes import And, BoolConst, Expr, Load, Not, Or, Same, TopK, walk
from maskc.ir.rows import BATCH
from maskc.ir.types import Type
from maskc.passes.support.constraint import Kind

Keys = Spans | Array
"""The keys that are seen: spans, the same in all batches and heads, or booleans that broadcast to
``[B, H, K]``."""


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
            compared = comparison(Same(mask))
            if compared is None:
                return _values(mask, row)
            kind, form, loads = compared
            return _compared(kind, form, loads, row) if loads else _span(kind, form, row)


def booleans(keys: Keys, row: Row) -> Array:
    """Return keys as booleans that broadcast to ``[B, H, K]``, the last dimension of all keys."""
    if isinstance(keys, np.ndarray):
        return np.broadcast_to(keys, (*keys.shape[:2], row.k_len))
    result = np.zeros((1, 1, row.k_len), np.bool_)
    for first, stop in keys:
        result[..., first:stop] = True
    return result


def _read(load: Load, row: Row) -> Array | int:
    """Return what a load reads ``[B | 1, H | 1, K]``, or the one int that it is."""
    array = row.arrays[load.input.name]
    at: list[slice | int] = []
    shape = [1, 1, 1]
    forms = places(Same(load)) or ()
    for index, form, size in zip(load.indices, forms, array.shape, strict=True):
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
    if isinstance(expr, Load) and places(Same(expr)) is not None:
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
