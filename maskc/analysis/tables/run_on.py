"""Long rows of a table whose memory holds the rows below them.

A row of a compact table begins a step behind the one above it, and reads as far as its count says.
Where all rows but a few are short, the step would have to be as long as the longest: a column of
keys that every query sees partly, as attention sinks are, makes the table by key as wide as the
sequence. But the order within a row is free. So a long row runs on over the places of those below
it, where their columns are its own too: these stand at their places, its others in the gaps. Where
it has one of them as full, that is called partial, for the mask is true there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskc.analysis.tiles.runs import Array, Runs, merged, spelled_out

WORTH = 8 * 2**20
"""The bytes of a table from which on it is tried."""

MOST_STEPS = 64
"""Over how many rows a long one may run on, and then fewer and fewer."""

MOST_LONG = 256
MOST_ENTRIES = 2**22
"""How many long rows, and entries of all rows, are worth it."""


@dataclass(frozen=True, slots=True)
class RunOn:
    """A table whose long rows run on.

    Attributes:
        memory: of each group, ``[groups, length]``.
        step: how far a row begins behind the one above it.
        count: how many columns each row has.
        full: the full blocks that stay, where some are called partial.

    """

    memory: Array
    step: int
    count: Array
    full: Runs


def run_on(partial: Runs, full: Runs, count: Array, blocks: tuple[int, int]) -> RunOn | None:
    """Return a table of partial blocks in little memory, None where long rows cannot run on.

    Args:
        partial: runs of columns in rows, numbered through all groups.
        full: likewise; of these a few may be called partial.
        count: how many partial blocks each row has.
        blocks: how many rows and columns a group has.

    """
    longest = int(count.max(initial=0))
    narrow = longest * len(count) * np.dtype(np.int32).itemsize
    if narrow < WORTH or partial.count > MOST_ENTRIES:
        return None
    table = _Table(partial, full, count, blocks)
    for steps in range(MOST_STEPS, 1, -1):
        step = -(-longest // steps) + 1  # a place for one that was full at each row
        long = np.flatnonzero(count > step)
        if len(long) <= MOST_LONG and (placed := table.placed(long.tolist(), step)) is not None:
            return placed
    return None


class _Table:
    """The columns of each row, and those that are full there."""

    def __init__(self, partial: Runs, full: Runs, count: Array, blocks: tuple[int, int]) -> None:
        self.row, self.column = spelled_out(partial)
        self.full, self.count, self.blocks = full, count, blocks
        self.begin = np.append(0, np.cumsum(count, dtype=np.int64))

    def of(self, row: int) -> Array:
        """Return the columns of a row."""
        columns: Array = self.column[self.begin[row] : self.begin[row + 1]]
        return columns

    def placed(self, long: list[int], step: int) -> RunOn | None:
        """Return the table with this step between rows, None where a long row meets another."""
        rows, columns = self.blocks
        sequences: dict[int, Array] = {}
        reached = -1
        for line in long:
            sequence = self._sequence(line, step) if line > reached else None
            if sequence is None:
                return None
            sequences[line] = sequence
            reached = line + (len(sequence) - 1) // step
        groups = len(self.count) // rows
        memory = np.zeros((groups, step * rows + columns), np.int32)
        group, row = np.divmod(self.row, rows)
        place = np.arange(len(self.row)) - self.begin[self.row]
        short = self.count[self.row] <= step
        memory[group[short], (step * row + place)[short]] = self.column[short]
        count = self.count.copy()
        for line, sequence in sequences.items():
            begin = line % rows * step
            memory[line // rows, begin : begin + len(sequence)] = sequence
            count[line] = len(sequence)
        return RunOn(memory, step, count, self._left_full(sequences))

    def _sequence(self, row: int, step: int) -> Array | None:
        """Return the columns of a long row in the order in which it runs on over those below it."""
        rows, columns = self.blocks
        held, taken = np.zeros(columns, np.bool_), np.zeros(columns, np.bool_)
        held[self.of(row)] = True
        may_hold = held | self._full_of(row)
        below, total = 1, int(self.count[row])
        while below * step < total and (row + below) // rows == row // rows:
            other = self.of(row + below)
            if len(other) > step or not _may_stand(other, may_hold, taken):
                return None
            total += int((~held[other]).sum())
            held[other] = taken[other] = True
            below += 1
        sequence, free = np.empty(total, np.int32), np.ones(total, np.bool_)
        for place in range(1, below):
            own = slice(place * step, place * step + int(self.count[row + place]))
            visible = self.of(row + place)[: max(0, total - own.start)]
            sequence[own][: len(visible)], free[own] = visible, False
            held[visible] = False
        sequence[free] = np.flatnonzero(held)
        return sequence

    def _full_of(self, row: int) -> Array:
        """Return which columns are full in a row."""
        at = slice(*self.full.row.searchsorted([row, row + 1]))
        held = np.zeros(self.blocks[1], np.bool_)
        for first, stop in zip(self.full.first[at], self.full.stop[at], strict=True):
            held[first:stop] = True
        return held

    def _left_full(self, sequences: dict[int, Array]) -> Runs:
        """Return the full blocks without those that a long row has."""
        result = self.full
        for row, sequence in sequences.items():
            held = self._full_of(row)
            if not held[sequence].any():
                continue
            held[sequence] = False
            column = np.flatnonzero(held)
            own = merged(np.full(len(column), row), column, column + 1)
            before, behind = result.row.searchsorted([row, row + 1])
            parts = zip(
                (result.row, result.first, result.stop),
                (own.row, own.first, own.stop),
                strict=True,
            )
            result = Runs(*(np.concatenate([x[:before], y, x[behind:]]) for x, y in parts))
        return result


def _may_stand(columns: Array, may_hold: Array, taken: Array) -> bool:
    """Tell whether a long row may hold columns of a row below it, and no other has them."""
    return bool(may_hold[columns].all()) and not taken[columns].any()
