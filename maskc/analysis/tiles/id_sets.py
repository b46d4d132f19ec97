"""Ids that stand in any order: what two blocks share is told by which ids occur in each.

``a[q] == b[k]`` holds somewhere in a tile where its queries and its keys share an id, and at every
pair where each side has that one id only. Each block has a row of bits, one for each id, and two
blocks share an id where the rows share a bit.
"""

from __future__ import annotations

import numpy as np

from maskc.analysis.key_ranges.bound import Bound, Relation, bound
from maskc.analysis.key_ranges.values import Values
from maskc.analysis.tiles.grid import Grid
from maskc.analysis.tiles.runs import Array
from maskc.analysis.tiles.tile_map import Share
from maskc.ir.nodes import Expr
from maskc.ir.types import Dim
from maskc.ir.vectorize import Domain

MOST_FLAGS = 2**26
MOST_PRODUCTS = 2**36
"""How many flags and pairs of them are worth it."""

CACHED = 2**16
"""How many words are compared in one go; two such lists stay in a processor's cache."""

WORD = 64
"""Bits that are compared at once."""


def equality(arg: Expr) -> Bound | None:
    """Return an equality of something of the key and something of the query."""
    if Dim.Q | Dim.K not in arg.deps:
        return None
    parted = bound(arg, True)
    return parted if parted and parted.relation is Relation.EQUAL and parted.factor == 1 else None


def share_of_ids(compared: Bound, domain: Domain, grid: Grid) -> Share | None:
    """Return what blocks of queries and of keys share, None if there are too many ids."""
    values = Values(domain)
    queries, keys = values.total(compared.query), values.total(compared.key)
    if queries is None or keys is None:
        return None
    q_ids, k_ids = (
        np.broadcast_to(ids, (grid.batch, grid.heads, length)).reshape(grid.groups, length)
        for ids, length in zip((queries, keys), grid.lengths, strict=True)
    )
    result = [_of_group(q, k, grid) for q, k in zip(q_ids, k_ids, strict=True)]
    shares = [share for share in result if share is not None]
    if len(shares) < len(result):
        return None
    return Share(*(np.concatenate(parts) for parts in zip(*shares, strict=True)))


def _of_group(q_ids: Array, k_ids: Array, grid: Grid) -> Share | None:
    rows, columns = grid.blocks
    q_number, k_number, count = _numbered(q_ids, k_ids)
    if (rows + columns) * count > MOST_FLAGS or rows * columns * count > MOST_PRODUCTS:
        return None
    q_flags = _flags(q_number, (rows, count + 1), grid.block[0])
    k_flags = _flags(k_number, (columns, count), grid.block[1])
    some = _meet(_words(q_flags[:, :count]), _words(k_flags))
    single = np.logical_and.outer(q_flags.sum(1) == 1, k_flags.sum(1) == 1)
    return Share(some, some & single)


def _numbered(q_ids: Array, k_ids: Array) -> tuple[Array, Array, int]:
    """Return ids as numbers from 0, and how many those of keys are; others get the number after."""
    low, high = int(k_ids.min()), int(k_ids.max())
    count = high - low + 1
    if count <= len(k_ids):
        outside = (q_ids < low) | (q_ids > high)
        return np.where(outside, count, q_ids - low), k_ids - low, count
    known, k_number = np.unique(k_ids, return_inverse=True)
    count = len(known)
    place = known.searchsorted(q_ids).clip(max=count - 1)
    return np.where(known[place] == q_ids, place, count), k_number, count


def _flags(number: Array, shape: tuple[int, int], size: int) -> Array:
    """Return for each block of ``size`` rows which ids it has."""
    flags = np.zeros(shape[0] * shape[1], np.bool_)
    block = np.arange(0, shape[0] * shape[1], shape[1])
    flags[block.repeat(size)[: len(number)] + number] = True
    return flags.reshape(shape)


def _words(flags: Array) -> Array:
    """Return flags as bits, ``[words, blocks]``."""
    packed = np.packbits(flags, axis=1)
    spare = -packed.shape[1] % (WORD // 8)
    words: Array = np.pad(packed, ((0, 0), (0, spare))).view(np.uint64).T
    return np.ascontiguousarray(words)


def _meet(one: Array, other: Array) -> Array:
    """Return which rows of one share a bit with which of the other."""
    result = np.empty((one.shape[1], other.shape[1]), np.bool_)
    band = max(1, CACHED // max(1, other.shape[1]))
    for start in range(0, len(result), band):
        rows = slice(start, start + band)
        shared = np.zeros(result[rows].shape, np.uint64)
        for mine, theirs in zip(one[:, rows], other, strict=True):
            shared |= mine[:, None] & theirs
        np.not_equal(shared, 0, out=result[rows])
    return result
