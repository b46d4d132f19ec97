"""Tensors without end, whose elements are drawn when they are read: inputs of a search."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maskc.ir.evaluate import Env
from maskc.ir.nodes import Expr, Input, Load, walk
from maskc.ir.scalars import Number
from maskc.ir.types import Type
from maskc.limits import MAX_INT


@dataclass(slots=True)
class Table:
    """One tensor; its elements are small, so that equal ids and ties come up."""

    type: Type
    rank: int
    seeds: random.Random
    elements: dict[tuple[int, ...], Number] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """One size for each subscript, larger than any of them."""
        return (MAX_INT,) * self.rank

    def __getitem__(self, place: tuple[int, ...]) -> Any:
        if place not in self.elements:
            drawn = self.seeds.randint(-1, 4)
            values: dict[Type, Number] = {
                Type.BOOL: drawn > 1,
                Type.INT: drawn,
                Type.FLOAT: drawn / 2,
            }
            self.elements[place] = values[self.type]
        return _Element(self.elements[place])


@dataclass(frozen=True, slots=True)
class _Element:
    value: Number

    def item(self) -> Number:
        return self.value


def ranks(*roots: Expr) -> dict[Input, int]:
    """Return the inputs that ``roots`` read, and the number of their subscripts."""
    return {term.input: len(term.indices) for term in walk(*roots) if isinstance(term, Load)}


def sampled_tables(read: Mapping[Input, int], seeds: random.Random) -> dict[str, Table]:
    """Return a table for each of these inputs."""
    return {source.name: Table(source.type, rank, seeds) for source, rank in read.items()}


def elements(env: Env) -> dict[str, Number]:
    """Return the elements that were read, as ``doc[3]``, and their values."""
    return {
        f"{name}[{', '.join(map(str, place))}]" if place else name: value
        for name, table in env.inputs.items()
        for place, value in table.elements.items()
    }
