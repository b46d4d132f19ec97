"""What the analysis found out: the tiles of a mask, and which step decided how many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.ranges import KeyRanges
from maskc.analysis.tiles.grid import Grid, Tiles
from maskc.analysis.tiles.matrices import Matrices
from maskc.analysis.tiles.runs import Array, Runs, merged
from maskc.analysis.tiles.spans import Spans
from maskc.ir.types import Word


class Step(Word):
    """What decided a tile."""

    KEY_RANGES = "the ranges of keys of its rows"
    ID_SETS = "the ids of its queries and its keys"
    STEADY = "one pair of it, which stands for all"
    RANGES = "ranges over the tile"
    WITNESS = "a true and a false point"
    PARTS = "ranges over its parts"
    POINTS = "every point of its open parts"


NONE = dict.fromkeys(Step, 0)
"""No tile decided by any step."""


class Share(NamedTuple):
    """Whether part of a mask holds at some pair of a tile, and whether at every pair.

    Both are bool ``[rows, columns]``, the rows of blocks numbered through all groups.
    """

    some: Array
    every: Array


class Listed(NamedTuple):
    """The partial and the full blocks, row by row."""

    partial: Runs
    full: Runs


Kinds = Listed | Spans | Matrices
"""Partial and full blocks in one of three forms."""


def no_ranges() -> None:
    """Tell nothing of the keys of a row."""


@dataclass(frozen=True)
class TileMap:
    """What a mask does on each tile.

    Attributes:
        grid: the blocks.
        kinds: which of them are partial and which are full, in the form that they were found in.
        decided: how many blocks each step decided.
        find_ranges: returns the keys of each row, where they are ranges.

    """

    grid: Grid
    kinds: Kinds
    decided: Mapping[Step, int]
    find_ranges: Callable[[], KeyRanges | None] = no_ranges

    @cached_property
    def partial(self) -> Runs:
        """The blocks that hold some pairs, or all but stick out of the matrix."""
        return self.kinds.partial

    @cached_property
    def full(self) -> Runs:
        """The blocks that hold every pair of theirs. A block in neither is empty."""
        return self.kinds.full

    @cached_property
    def ranges(self) -> KeyRanges | None:
        """The keys of each row, where they are ranges."""
        return self.find_ranges()

    @property
    def full_count(self) -> int:
        """How many blocks hold every pair of theirs."""
        return self.full.count

    @property
    def partial_count(self) -> int:
        """How many blocks hold some pairs, or all but stick out of the matrix."""
        return self.partial.count

    @property
    def empty_count(self) -> int:
        """How many blocks hold no pair."""
        return self.grid.count - self.full_count - self.partial_count

    @property
    def sparsity(self) -> float:
        """The share of blocks that hold no pair, from 0 to 1."""
        return self.empty_count / self.grid.count if self.grid.count else 0.0


@dataclass(slots=True)
class Found:
    """The tiles decided so far: full ones of any width, which do not stick out, partial blocks."""

    grid: Grid
    full: list[Tiles] = field(default_factory=list)
    partial: list[Tiles] = field(default_factory=list)
    decided: dict[Step, int] = field(default_factory=lambda: dict.fromkeys(Step, 0))
    """Without those that ranges decided, which are all others."""

    def keep(self, *, full: Tiles | None = None, partial: Tiles | None = None) -> None:
        """Keep tiles that are full, and blocks that are partial."""
        for tiles, kept in ((full, self.full), (partial, self.partial)):
            if tiles is not None and len(tiles):
                kept.append(tiles)

    def finish(self) -> TileMap:
        """Return what was found."""
        counts = dict(self.decided)
        counts[Step.RANGES] = self.grid.count - sum(counts.values())
        partial, full = (_runs(self.grid, lists) for lists in (self.partial, self.full))
        return TileMap(self.grid, Listed(partial, full), counts)


def _runs(grid: Grid, lists: Sequence[Tiles]) -> Runs:
    """Return the rows of tiles as runs."""
    rows, columns = grid.blocks
    keys, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for tiles in lists:
        high, wide = tiles.width
        group, q, k = (part.numpy(force=True) for part in (tiles.group, tiles.q, tiles.k))
        row = (group * rows + q * high)[:, None] + np.arange(high)
        keys.append((row * columns + (k * wide)[:, None]).reshape(-1))
        lengths.append(np.full(len(keys[-1]), wide))
    key, length = np.concatenate(keys), np.concatenate(lengths)
    order = key.argsort(kind="stable")
    row, first = np.divmod(key[order], max(1, columns))
    return merged(row, first, first + length[order])
