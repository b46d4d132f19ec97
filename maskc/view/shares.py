"""How much of each square of a mask attends: exactly where that can be told, else by sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskc.analysis.key_ranges.derive import key_ranges
from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.ir.domain import Domain
from maskc.ir.nodes import Expr
from maskc.ir.points import Points
from maskc.ir.types import Ix
from maskc.view.looked_at import LookedAt
from maskc.view.scene import Scene
from maskc.view.squares import Along, Array, along, areas, true_counts

MOST_PAIRS = 2**22
"""A part of a mask of more pairs is not looked at pair by pair."""

AT_ONCE = 2**19
"""Pairs that are evaluated in one step."""

SAMPLES = (4, 32)
"""The least and the most queries, and keys, of a square that is sampled."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of each square of a part of a mask attends.

    Attributes:
        rows: the squares along the queries.
        columns: those along the keys.
        share: from 0 to 1, ``[rows, columns]``; 0 is no pair, and 1 every pair.
        sampled: how many pairs of a square were looked at; 0 where it is exact.

    """

    rows: Along
    columns: Along
    share: Array
    sampled: int = 0

    @property
    def how(self) -> str:
        """How the shares are known."""
        return f"from {self.sampled} pairs each" if self.sampled else "counted"

    @property
    def total(self) -> float:
        """The share of all pairs."""
        weights = areas(self.rows, self.columns)
        return float((self.share * weights).sum() / weights.sum())


@dataclass(frozen=True, slots=True)
class Part:
    """Some queries and some keys of a mask."""

    rows: range
    columns: range

    def squares(self, most: int) -> tuple[Along, Along]:
        """Return squares, at most so many along the longer side."""
        longest = max((self.rows, self.columns), key=len)
        step = along(0, len(longest), most).step
        return (
            Along(self.rows.start, self.rows.stop, step),
            Along(self.columns.start, self.columns.stop, step),
        )


class Looker:
    """Looks at parts of one mask; what is worked out once serves them all."""

    def __init__(self, scene: Scene, program: LookedAt) -> None:
        self.scene = scene
        self.program = program
        self.ranges: KeyRanges | None = key_ranges(program.mask, program.domain)

    def shares(self, rows: Along, columns: Along) -> Shares:
        """Return how much of each square attends."""
        if self.ranges is not None:
            group = self.scene.batch, self.scene.head
            counts = true_counts(self.ranges, group, rows, columns)
            return Shares(rows, columns, counts / areas(rows, columns))
        if (rows.end - rows.begin) * (columns.end - columns.begin) <= MOST_PAIRS:
            queries, keys = (np.arange(one.begin, one.end) for one in (rows, columns))
            counts = self._counts(queries, keys, np.arange(columns.count) * columns.step, rows.step)
            return Shares(rows, columns, counts / areas(rows, columns))
        return self._sampled(rows, columns)

    def values(self, expr: Expr, queries: Array, keys: Array, score: float = 0.0) -> Array:
        """Return an expression over rows at queries ``[Q, 1]`` and keys ``[1, K]``."""
        at = {
            Ix.BATCH: np.asarray(self.scene.batch),
            Ix.HEAD: np.asarray(self.scene.head),
            Ix.Q_IDX: queries,
            Ix.KV_IDX: keys,
        }
        shape = np.broadcast_shapes(queries.shape, keys.shape)
        return np.broadcast_to(Points(self.domain, at, score).of(expr), shape)

    def mask(self, queries: Array, keys: Array) -> Array:
        """Return the mask at queries and keys."""
        return self.values(self.program.mask, queries, keys)

    @property
    def domain(self) -> Domain:
        """What the program runs over."""
        return self.program.domain

    def _sampled(self, rows: Along, columns: Along) -> Shares:
        """Return the shares of pairs of random queries and random keys of each square."""
        random = np.random.default_rng(0)
        fitting = math.isqrt(MOST_PAIRS // (rows.count * columns.count))
        each = max(SAMPLES[0], min(SAMPLES[1], fitting))
        queries, keys = (_some_of_each(one, each, random) for one in (rows, columns))
        counts = self._counts(queries, keys, np.arange(columns.count) * each, each)
        return Shares(rows, columns, counts / each**2, each**2)

    def _counts(self, queries: Array, keys: Array, at: Array, high: int) -> Array:
        """Count the true pairs, ``high`` queries at a time and the keys from each of ``at`` on."""
        a_step = max(1, AT_ONCE // len(keys) // high) * high
        parts = []
        for first in range(0, len(queries), a_step):
            some = queries[first : first + a_step]
            by_columns = np.add.reduceat(self.mask(some[:, None], keys[None]), at, 1, np.int64)
            parts.append(np.add.reduceat(by_columns, np.arange(0, len(some), high), 0))
        return np.concatenate(parts)


def _some_of_each(squares: Along, count: int, random: Any) -> Array:
    """Return random elements of each square, one square after the other."""
    firsts = squares.begin + np.arange(squares.count)[:, None] * squares.step
    within = np.floor(random.random((squares.count, count)) * squares.sizes[:, None])
    result: Array = (firsts + within.astype(np.int64)).reshape(-1)
    return result
