"""Compact tables: indices of full logical width whose rows overlap in memory.

What follows the count of a row means nothing, so it may be the next row. Rows may even be one and
the same sequence: they read as much of it as their count says. A few long ones may run on over
short ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.tables.indices import counts, indices
from maskc.analysis.tables.run_on import run_on
from maskc.analysis.tiles.runs import Array, Runs

DECODE_ROWS = 8
"""torch's decode kernels read full tables with the strides of partial ones; they serve at most
this many rows of blocks (fewer than 128 queries, blocks of 16 or more), which are left wide."""

Shape = tuple[int, int, int, int]
"""``[B, H, rows, columns]``."""


class Layout(NamedTuple):
    """Memory, and how far the groups and the rows of a table lie apart in it."""

    memory: Array
    group_stride: int
    row_stride: int


@dataclass(frozen=True, slots=True)
class Compact:
    """How many columns each row of a table has, and where they lie."""

    count: Array
    layout: Layout


def compact_tables(partial: Runs, full: Runs, shape: Shape) -> tuple[Compact, Compact]:
    """Return the tables of partial and of full blocks ``[B, H, rows, columns]`` in little memory.

    Args:
        partial: runs of columns in rows, numbered through all groups.
        full: likewise; a few of these may be called partial.
        shape: of a table.

    """
    rows = shape[0] * shape[1] * shape[2]
    count, of_full = counts(partial, rows), counts(full, rows)
    layout, layout_of_full = _shared(partial, count, shape), _shared(full, of_full, shape)
    if layout is None and shape[2] > DECODE_ROWS:
        longer = run_on(partial, full, count, shape[2:])
        if longer is not None and longer.full is not full:
            of_full = counts(longer.full, rows)
            layout_of_full, before = _shared(longer.full, of_full, shape), layout_of_full
            if layout_of_full is None and before is not None:
                longer, of_full, layout_of_full = None, counts(full, rows), before
        if longer is not None:
            full, count = longer.full, longer.count
            layout = Layout(longer.memory, longer.memory.shape[1], longer.step)
    return (
        Compact(count, layout or _narrow(partial, count, shape)),
        Compact(of_full, layout_of_full or _narrow(full, of_full, shape)),
    )


def _shared(runs: Runs, count: Array, shape: Shape) -> Layout | None:
    """Let all rows share one sequence, if they can."""
    return _counting(runs, shape) or _nested(runs, count, shape)


def to_tensor(layout: Layout, shape: Shape, device: torch.device) -> Tensor:
    """Return the indices of a table."""
    memory = torch.from_numpy(layout.memory.reshape(-1)).to(device)
    strides = shape[1] * layout.group_stride, layout.group_stride, layout.row_stride, 1
    return memory.as_strided(shape, strides)


def _counting(runs: Runs, shape: Shape) -> Layout | None:
    """Let rows share one that counts on, each starting in it by the same step after the last.

    They can where each holds one run, with first columns that grow by that step.
    """
    groups, rows, columns = shape[0] * shape[1], *shape[2:]
    one_run = bool((runs.row[1:] != runs.row[:-1]).all())
    if rows <= DECODE_ROWS or not len(runs) or not one_run:
        return None
    group, row = np.divmod(runs.row, rows)
    step = _step(group, row, runs.first)
    begin = runs.first - step * row
    begins = np.zeros(groups, np.int64)
    begins[group] = begin
    if step < 0 or not np.array_equal(begins[group], begin):
        return None
    size = step * (rows - 1) + columns
    memory = (begins[:, None] + np.arange(size)).clip(0, columns - 1).astype(np.int32)
    return Layout(memory, size, step)


def _step(group: Array, row: Array, first: Array) -> int:
    """Return by how much first columns grow from row to row where two are in one group."""
    pairs = np.flatnonzero(group[1:] == group[:-1])
    if not len(pairs):
        return 0
    at = pairs[0]
    return int((first[at + 1] - first[at]) // (row[at + 1] - row[at]))


def _nested(runs: Runs, count: Array, shape: Shape) -> Layout | None:
    """Let rows share the sequence of columns by how many rows hold them, most first."""
    rows, columns = shape[2:]
    if rows <= DECODE_ROWS or not len(runs):
        return None
    sequence = shared_sequence(runs, count, (rows, columns))
    return None if sequence is None else Layout(sequence, columns, 0)


def shared_sequence(runs: Runs, count: Array, blocks: tuple[int, int]) -> Array | None:
    """Return for each group a sequence of columns whose heads are the group's rows, or None.

    There is one where of any two rows one holds the other.

    Args:
        runs: of columns in rows, numbered through all groups.
        count: how many columns each row has.
        blocks: how many rows and columns a group has.

    """
    rows, columns = blocks
    groups = len(count) // rows
    first, stop = (runs.row // rows * (columns + 1) + end for end in (runs.first, runs.stop))
    size = groups * (columns + 1)
    held = np.cumsum(np.bincount(first, minlength=size) - np.bincount(stop, minlength=size))
    held = held.reshape(groups, columns + 1)[:, :columns]
    sequence = np.argsort(-held, axis=1, kind="stable")
    rank = np.zeros((groups, columns + 1), np.int64)
    np.put_along_axis(rank, sequence, np.arange(columns)[None], axis=1)
    ends = np.stack([first, stop], axis=1).reshape(-1)
    last = np.maximum.reduceat(rank.reshape(-1), ends)[::2]
    if not bool((last < count[runs.row]).all()):
        return None
    return sequence.astype(np.int32)


def _narrow(runs: Runs, count: Array, shape: Shape) -> Layout:
    """Write rows one after the other, as far apart as the longest is long."""
    rows, columns = shape[2:]
    stride = columns if rows <= DECODE_ROWS else int(count.max(initial=0))
    return Layout(indices(runs, count, columns, stride), rows * stride, stride)
