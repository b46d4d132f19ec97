"""Tiles as matrices of booleans: what takes a look at each block anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskc.analysis.tiles.grid import Grid
from maskc.analysis.tiles.runs import Array, Runs


@dataclass(frozen=True, slots=True)
class Matrices:
    """Which blocks are partial and which are full, bool ``[rows, columns]``.

    The rows of blocks are numbered through all groups.
    """

    partial_matrix: Array
    full_matrix: Array

    @property
    def full(self) -> Runs:
        """The full blocks."""
        return of_matrix(self.full_matrix)

    @property
    def partial(self) -> Runs:
        """The partial blocks."""
        return of_matrix(self.partial_matrix)


def to_matrix(runs: Runs, grid: Grid) -> Array:
    """Return runs as a matrix of booleans ``[rows, columns]``."""
    columns = grid.blocks[1]
    changes = np.zeros((grid.groups * grid.blocks[0], columns + 1), np.int8)
    changes[runs.row, runs.first] = 1
    changes[runs.row, runs.stop] = -1
    result: Array = changes.cumsum(1, dtype=np.int8)[:, :columns].view(np.bool_)
    return result


def of_matrix(matrix: Array) -> Runs:
    """Return the runs of a matrix of booleans."""
    rows, columns = matrix.shape
    framed = np.zeros((rows, columns + 2), np.bool_)
    framed[:, 1:-1] = matrix
    row, end = (framed[:, 1:] != framed[:, :-1]).nonzero()
    return Runs(row[::2], end[::2], end[1::2])
