"""The terms of a mask at one query row: affine forms of the key, and what is read of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from maskc.analysis.key_ranges.ranges import Array
from maskc.ir.domain import ArrayDomain
from maskc.ir.linear import Linear, linear
from maskc.ir.nodes import Expr, Index, Load, Same, Size
from maskc.ir.rows import BATCH, HEAD
from maskc.ir.types import Ix, Sz
from maskc.passes.support.constraint import Kind, constraint

Span = tuple[int, int]
"""The keys ``first <= k < stop``, at least one."""

Spans = tuple[Span, ...]
"""Keys as spans that ascend, and neither overlap nor touch."""

Number = Sz | str
"""What is a number in a call: a size, or an offset by its name."""

Factors = tuple[tuple[Load, int], ...]
"""What is read of inputs at each key, or at the query, and by what it is multiplied."""


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


def affine(index: Expr) -> Affine | None:
    """Return an int of the row and its keys as an affine form; None where it is more than that."""
    return _affine(Same(index))


@lru_cache(maxsize=4096)
def _affine(expr: Same) -> Affine | None:
    """Return an int as an affine form of the key; None where it is more than that."""
    found = _of_form(linear(expr.expr))
    return None if found is None or found[1] else found[0]


@lru_cache(maxsize=4096)
def comparison(expr: Same) -> tuple[Kind, Affine, Factors] | None:
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
            case Load() if places(Same(term)) is not None:
                loads.append((term, factor))
            case _:
                return None
    if key and loads:
        return None
    return Affine(form.constant, key, tuple(numbers)), tuple(loads)


@lru_cache(maxsize=4096)
def places(expr: Same) -> tuple[Affine | None, ...] | None:
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
