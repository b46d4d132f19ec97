"""Runs of blocks side by side in rows of blocks: what tables are written from.

A row of blocks of a mask is mostly a few runs, however long, so work on runs follows the boundary
of the mask and not its area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs ``[first, stop)`` of columns in rows, by row and column; those of a row do not touch.

    A row is numbered through all groups. All three are int64 ``[N]``.
    """

    row: Array
    first: Array
    stop: Array

    def __len__(self) -> int:
        return len(self.row)

    @property
    def length(self) -> Array:
        """How many columns each run has."""
        return self.stop - self.first

    @property
    def count(self) -> int:
        """How many blocks there are in all."""
        return int(self.length.sum())


def merged(row: Array, first: Array, stop: Array) -> Runs:
    """Return runs that are in order, those that touch as one."""
    if not len(row):
        return Runs(row, first, stop)
    begins = np.empty(len(row), np.bool_)
    begins[0] = True
    np.not_equal(row[1:], row[:-1], out=begins[1:])
    begins[1:] |= first[1:] != stop[:-1]
    if begins.all():
        return Runs(row, first, stop)
    at = np.flatnonzero(begins)
    ends = np.append(at[1:], len(row)) - 1
    return Runs(row[at], first[at], stop[ends])


def stacked(tables: Sequence[Runs], rows: int) -> Runs:
    """Return the runs of several tables as those of one, each ``rows`` below the one before it."""
    return Runs(
        np.concatenate([runs.row + place * rows for place, runs in enumerate(tables)]),
        np.concatenate([runs.first for runs in tables]),
        np.concatenate([runs.stop for runs in tables]),
    )


def split(runs: Runs, rows: int) -> tuple[Runs, Runs]:
    """Return the runs of two tables that are one, the second ``rows`` below the first."""
    cut = int(runs.row.searchsorted(rows))
    upper, lower = slice(cut), slice(cut, None)
    return (
        Runs(runs.row[upper], runs.first[upper], runs.stop[upper]),
        Runs(runs.row[lower] - rows, runs.first[lower], runs.stop[lower]),
    )


def spelled_out(runs: Runs) -> tuple[Array, Array]:
    """Return the row and the column of every block."""
    length = runs.length
    row, column = np.repeat(runs.row, length), np.ones(int(length.sum()), np.int64)
    if len(column):
        begins = np.cumsum(length) - length
        column[begins] = runs.first
        column[begins[1:]] -= runs.stop[:-1] - 1
    return row, np.cumsum(column)


def transposed(runs: Runs, blocks: tuple[int, int]) -> Runs:
    """Return the runs of rows in columns, group by group.

    A column's runs begin and end where two neighbouring rows differ in it. Two rows differ between
    their first and second, their third and fourth end, and so on, all ends of both in order.

    Args:
        runs: of columns in rows.
        blocks: how many rows and columns a group has.

    """
    rows, columns = blocks
    group, row = np.divmod(runs.row, rows)
    line = group * (rows + 1) + row  # a row more a group, in which the last runs end
    own = np.concatenate([line, line])
    ends = np.concatenate([runs.first, runs.stop])
    key = np.concatenate([own, own + 1]) * (columns + 1) + np.concatenate([ends, ends])
    key.sort()
    line, ends = np.divmod(key, columns + 1)
    changed = ends[::2] < ends[1::2]
    line, column = spelled_out(Runs(line[::2][changed], ends[::2][changed], ends[1::2][changed]))
    group, row = np.divmod(line, rows + 1)
    key = (group * columns + column) * (rows + 1) + row
    key.sort()
    column, row = np.divmod(key, rows + 1)
    return Runs(column[::2], row[::2], row[1::2])
