"""What the analysis found out: the tiles of a mask, and which step decided how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from maskc.analysis.tiles.grid import Grid, Tiles, joined


class Step(Enum):
    """What decided a tile."""

    RANGES = "ranges over the tile"
    WITNESS = "a true and a false point"
    PARTS = "ranges over its parts"
    POINTS = "every point of its open parts"


@dataclass(frozen=True, slots=True)
class TileMap:
    """What a mask does on each tile.

    ``full`` are lists of tiles, each of one width in blocks, none of which sticks out of the
    matrix; ``partial`` is one list of blocks. A block in neither is empty.
    ``decided`` counts the blocks that each step decided.
    """

    grid: Grid
    full: tuple[Tiles, ...]
    partial: Tiles
    decided: Mapping[Step, int]

    @property
    def full_count(self) -> int:
        """How many blocks hold every pair of theirs."""
        return sum(len(tiles) * tiles.width[0] * tiles.width[1] for tiles in self.full)

    @property
    def partial_count(self) -> int:
        """How many blocks hold some pairs, or all but stick out of the matrix."""
        return len(self.partial)

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
    """The tiles decided so far."""

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
        return TileMap(self.grid, tuple(self.full), joined(self.partial, self.grid), counts)
