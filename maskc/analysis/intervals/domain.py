"""What is known of a term on a set of tiles: bounds of a number, the truth of a boolean.

Each has two parts that are tensors, one element a tile (or Python numbers, for all tiles), of
shapes that broadcast. They claim only what holds at every point of the tile:

- ``Bounds``: ``lo <= x <= hi``. A bound that is NaN says nothing, and x may be NaN only then;
  every comparison with such a bound is False, so what it touches stays open by itself.
- ``Truth``: ``always``, true everywhere; ``never``, false everywhere; neither: open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import torch

from maskc.ir.operators import CompareOp
from maskc.limits import MAX_INT64

Operand = Any
"""A tensor, or a Python number for all tiles."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the largest value on each tile; ``lo is hi`` says that it is one value.

    ``reach`` bounds the absolute value of an int over all tiles. It is a Python int, so that a
    sum or product that may leave 64 bits is seen before it is computed.
    """

    lo: Operand
    hi: Operand
    reach: int = 0

    @property
    def exact(self) -> bool:
        """Whether there is one value on each tile."""
        return self.lo is self.hi


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether a boolean is true at every point of each tile, and whether at none."""

    always: Operand
    never: Operand

    def __invert__(self) -> Truth:
        return Truth(self.never, self.always)


ANY_INT = Bounds(-MAX_INT64 - 1, MAX_INT64, MAX_INT64 + 1)
ANY_FLOAT = Bounds(math.nan, math.nan)
OPEN = Truth(False, False)

Known = TypeVar("Known", Bounds, Truth)


def compare(op: CompareOp, a: Bounds, b: Bounds) -> Truth:
    """Return what the bounds tell of ``a op b``."""
    match op:
        case CompareOp.LT:
            return Truth(a.hi < b.lo, a.lo >= b.hi)
        case CompareOp.LE:
            return Truth(a.hi <= b.lo, a.lo > b.hi)
        case CompareOp.EQ:
            return Truth(both(a.lo == b.hi, a.hi == b.lo), either(a.hi < b.lo, a.lo > b.hi))
        case CompareOp.NE:
            return ~compare(CompareOp.EQ, a, b)


def same(a: Truth, b: Truth) -> Truth:
    """Return what is known of the equality of two booleans."""
    return Truth(
        either(both(a.always, b.always), both(a.never, b.never)),
        either(both(a.always, b.never), both(a.never, b.always)),
    )


def conjunction(parts: Sequence[Truth]) -> Truth:
    """Return the truth of ``parts[0] & parts[1] & ...``."""
    return Truth(reduce(both, (p.always for p in parts)), reduce(either, (p.never for p in parts)))


def disjunction(parts: Sequence[Truth]) -> Truth:
    """Return the truth of ``parts[0] | parts[1] | ...``."""
    return ~conjunction([~part for part in parts])


def choose(cond: Truth, then: Known, other: Known) -> Known:
    """Return what is known of ``then if cond else other``."""
    if cond.always is True or cond.never is True:
        return then if cond.always is True else other
    if isinstance(then, Truth) and isinstance(other, Truth):
        return disjunction_of_arms(cond, then, other)
    assert isinstance(then, Bounds)
    assert isinstance(other, Bounds)
    lo = select(cond.always, then.lo, select(cond.never, other.lo, least(then.lo, other.lo)))
    hi = select(cond.always, then.hi, select(cond.never, other.hi, greatest(then.hi, other.hi)))
    return Bounds(lo, hi, max(then.reach, other.reach))


def disjunction_of_arms(cond: Truth, then: Truth, other: Truth) -> Truth:
    """Return the truth of a boolean ``where``: the two arms may agree where ``cond`` is open."""

    def arm(a: Operand, b: Operand) -> Operand:
        return either(either(both(cond.always, a), both(cond.never, b)), both(a, b))

    return Truth(arm(then.always, other.always), arm(then.never, other.never))


def least(a: Operand, b: Operand) -> Operand:
    """Return the smaller operand, NaN if either is NaN."""
    if isinstance(a, torch.Tensor):
        return torch.minimum(a, b) if isinstance(b, torch.Tensor) else a.clamp(max=b)
    if isinstance(b, torch.Tensor):
        return b.clamp(max=a)
    return math.nan if a != a or b != b else min(a, b)


def greatest(a: Operand, b: Operand) -> Operand:
    """Return the larger operand, NaN if either is NaN."""
    if isinstance(a, torch.Tensor):
        return torch.maximum(a, b) if isinstance(b, torch.Tensor) else a.clamp(min=b)
    if isinstance(b, torch.Tensor):
        return b.clamp(min=a)
    return math.nan if a != a or b != b else max(a, b)


def both(a: Operand, b: Operand) -> Operand:
    """Return ``a & b`` of truth values."""
    if isinstance(a, bool):
        return b if a else False
    if isinstance(b, bool):
        return a if b else False
    return a & b


def either(a: Operand, b: Operand) -> Operand:
    """Return ``a | b`` of truth values."""
    if isinstance(a, bool):
        return True if a else b
    if isinstance(b, bool):
        return True if b else a
    return a | b


def select(cond: Operand, then: Operand, other: Operand) -> Operand:
    """Return ``then`` where ``cond`` holds, ``other`` elsewhere."""
    if isinstance(cond, bool):
        return then if cond else other
    return torch.where(cond, then, other)
