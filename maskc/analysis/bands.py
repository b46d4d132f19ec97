"""Cut the attention matrix into bands: query rows that follow each other, and the keys they need.

A band is one dense call of a kernel, so work and memory follow the mask and not the square. Rows
are cut where the keys of all rows before end and those of all rows after begin, as documents do.
Shorter stretches are joined while a call costs more than what it saves; longer ones are cut again,
unless the kernel does them whole without a mask tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from maskc.analysis.key_ranges.ranges import Array, KeyRanges
from maskc.analysis.tiles.runs import Runs, merged
from maskc.analysis.tiles.tile_map import TileMap
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain, Window

ROWS = 256
"""The most query rows of a band with a mask: shorter ones make more calls, longer ones waste keys
at both ends of a window."""

GAP = 64
"""Fewer keys than these, which no row of a band needs, are not worth leaving out."""

CALL = 2**13
"""How many pairs of a head cost about as much as a call."""


class Rest(Enum):
    """What is left of the mask in a band; causal: row ``i`` of it sees its keys 0 to ``i``."""

    NONE = "without a mask"
    CAUSAL = "causal"
    MASK = "with a mask"


@dataclass(frozen=True, slots=True)
class Band:
    """Query rows and the keys that they need.

    Attributes:
        window: the rows and the keys; none of its keys is beside a run of them.
        rest: what is masked there.
        seen: a window with the same mask, for bands of one shape all the same.

    """

    window: Window
    rest: Rest
    seen: Window


@dataclass(frozen=True, slots=True)
class Part:
    """Batches and heads with the same bands, which make up all query rows, in order."""

    batch: range
    heads: range
    bands: tuple[Band, ...]


Parts = tuple[Part, ...]
"""A grid of batches and heads, the heads running fastest."""


def pairs(parts: Parts) -> int:
    """Return how many pairs the bands hold, over all batches and heads."""
    return sum(
        len(part.batch) * len(part.heads) * len(band.window.rows) * key_count(band.window)
        for part in parts
        for band in part.bands
    )


def key_count(window: Window) -> int:
    """Return how many keys a window has."""
    return sum(map(len, window.keys))


def to_text(parts: Parts) -> str:
    """Return bands as text, a line each: to a trace, which guards it, that is one constant.

    Numbers that differ from call to call become symbols there, and decide nothing.
    """
    return "\n".join(
        f"{band.rest.name};{_window_text(band.window)};{_window_text(band.seen)}"
        for part in parts
        for band in part.bands
    )


def from_text(text: str) -> Parts:
    """Return the bands that ``to_text`` wrote."""
    result: list[Part] = []
    for line in text.splitlines():
        rest, own, seen = line.split(";")
        window = _window(own)
        band = Band(window, Rest[rest], _window(seen))
        if result and result[-1].batch == window.batch and result[-1].heads == window.heads:
            result[-1] = Part(window.batch, window.heads, (*result[-1].bands, band))
        else:
            result.append(Part(window.batch, window.heads, (band,)))
    return tuple(result)


def _window_text(window: Window) -> str:
    return " ".join(f"{run.start}:{run.stop}" for runs in window.runs for run in runs)


def _window(text: str) -> Window:
    ends = [run.split(":") for run in text.split()]
    batch, heads, rows, *keys = [range(int(start), int(stop)) for start, stop in ends]
    return Window(batch, heads, rows, tuple(keys))


def bands_of_ranges(ranges: KeyRanges, domain: Domain, long: bool) -> Parts:
    """Return the bands of a mask from the keys of each query row.

    Args:
        ranges: the keys.
        domain: the sizes.
        long: whether a band may have more than ``ROWS`` rows where it needs no mask tensor.

    """
    ends = ranges.ends
    first, stop = ends if ends.shape[1] else np.zeros((2, 1, *ends.shape[2:]), ends.dtype)
    return _Matrix(first, stop, ranges.counts, 1, domain, long).parts()


def bands_of_tiles(tiles: TileMap, domain: Domain, long: bool) -> Parts:
    """Return the bands of a mask from its tiles; the other arguments are as above."""
    grid = tiles.grid
    wide, shape = grid.block[1], (grid.batch, grid.heads, grid.blocks[0])
    runs = _united(tiles.full, tiles.partial)
    place = np.arange(len(runs)) - np.searchsorted(runs.row, runs.row)
    count = int(place.max(initial=0)) + 1
    first, stop = np.zeros((2, count, int(np.prod(shape))), np.int64)
    first[place, runs.row] = runs.first * wide
    stop[place, runs.row] = np.minimum(runs.stop * wide, grid.lengths[1])
    sure = np.bincount(tiles.full.row, tiles.full.length * wide, len(first[0])).astype(np.int64)
    first, stop = first.reshape(count, *shape), stop.reshape(count, *shape)
    return _Matrix(first, stop, sure.reshape(shape), grid.block[0], domain, long).parts()


def _united(one: Runs, other: Runs) -> Runs:
    """Return the blocks of both, which have none in common."""
    row, first, stop = (
        np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("row", "first", "stop")
    )
    order = np.lexsort((first, row))
    return merged(row[order], first[order], stop[order])


class _Keys(NamedTuple):
    """Of each strip of query rows of one matrix: its ranges ``[R, N]``, and its sure keys."""

    first: Array
    stop: Array
    sure: Array

    def cut(self, strips: slice) -> _Keys:
        return _Keys(self.first[:, strips], self.stop[:, strips], self.sure[strips])

    @property
    def runs(self) -> tuple[range, ...]:
        """The keys that any strip needs, those at a distance of fewer than ``GAP`` as one run."""
        wanted = self.stop > self.first
        first, stop = self.first[wanted], self.stop[wanted]
        if not len(first):
            return ()
        order = first.argsort(kind="stable")
        first, reach = first[order], np.maximum.accumulate(stop[order])
        breaks = np.flatnonzero(first[1:] >= reach[:-1] + GAP)
        begins, ends = first[np.append(0, breaks + 1)], reach[np.append(breaks, len(reach) - 1)]
        return tuple(range(int(a), int(b)) for a, b in zip(begins, ends, strict=True))


@dataclass(slots=True)
class _Matrix:
    """What is known of a mask, and the bands that were made of it.

    Attributes:
        first: ranges of keys ``[R, B | 1, H | 1, N]`` of strips of rows, empty ones anywhere.
        stop: likewise. All keys of a strip lie in its ranges.
        sure: how many keys every row of a strip sees.
        height: rows of a strip; of height 1 a strip sees all keys in its ranges.
        domain: the sizes.
        long: whether a band without a mask tensor may be long.
        seen: the windows of different masks.

    """

    first: Array
    stop: Array
    sure: Array
    height: int
    domain: Domain
    long: bool
    seen: dict[object, Window] = field(default_factory=dict)

    def parts(self) -> Parts:
        """Return the bands of all batches and heads; equal ones that follow each other as one."""
        sizes, (batch, heads) = self.domain.sizes, self.sure.shape[:2]
        ends = np.stack([self.first, self.stop])
        batches = _stretches(ends, 2, sizes[Sz.BATCH_SIZE])
        group = sizes[Sz.NUM_HEADS] // sizes[Sz.NUM_KV_HEADS]
        head_runs = _grouped(_stretches(ends, 3, sizes[Sz.NUM_HEADS]), group)
        return tuple(
            Part(b, h, tuple(self.bands(b, h, self._keys(b.start % batch, h.start % heads))))
            for b in batches
            for h in head_runs
        )

    def bands(self, batch: range, heads: range, keys: _Keys) -> Iterator[Band]:
        """Yield the bands of some batches and heads."""
        for strips in _joined(_segments(keys), CALL // (len(batch) * len(heads) * self.height)):
            band = self.band(batch, heads, strips, keys)
            if self.long and band.rest is not Rest.MASK:
                yield band
                continue
            step = max(1, ROWS // self.height)
            for start in range(strips.start, max(strips.stop, strips.start + 1), step):
                piece = range(start, min(start + step, strips.stop))
                yield self.band(batch, heads, piece, keys)

    def band(self, batch: range, heads: range, strips: range, keys: _Keys) -> Band:
        """Return the band of some strips."""
        rows = range(*(self._row(end) for end in (strips.start, strips.stop)))
        own = keys.cut(slice(strips.start, strips.stop))
        window = Window(batch, heads, rows, own.runs)
        rest = self._rest(own, window)
        return Band(window, rest, window if rest is Rest.NONE else self._seen(own, window))

    def _row(self, strip: int) -> int:
        return min(strip * self.height, self.domain.sizes[Sz.Q_LEN])

    def _keys(self, batch: int, head: int) -> _Keys:
        """Return what is known of one matrix."""
        at = (batch, head)
        return _Keys(self.first[:, *at], self.stop[:, *at], self.sure[at])

    def _rest(self, own: _Keys, window: Window) -> Rest:
        if bool((own.sure == key_count(window)).all()):
            return Rest.NONE
        if self.height != 1 or len(window.keys) != 1:
            return Rest.MASK
        keys = window.keys[0]
        triangle = np.minimum(keys.start + 1 + np.arange(len(window.rows)), keys.stop)
        counts = (own.stop == triangle) & (own.first == keys.start)
        return (
            Rest.CAUSAL
            if bool((counts.any(0) & (own.sure == triangle - keys.start)).all())
            else Rest.MASK
        )

    def _seen(self, own: _Keys, window: Window) -> Window:
        """Return the first window whose mask is the same, seen from its first row and key."""
        if self.height != 1:
            return window
        one = window._replace(batch=window.batch[:1], heads=window.heads[:1])
        if len(window.keys) != 1:
            return one
        missing = own.stop <= own.first
        start = window.keys[0].start
        ends = [np.where(missing, 0, end - start).tobytes() for end in (own.first, own.stop)]
        return self.seen.setdefault((len(window.rows), len(window.keys[0]), *ends), one)


def _stretches(ends: Array, axis: int, size: int) -> list[range]:
    """Return the runs of batches or heads whose keys are the same."""
    if ends.shape[axis] == 1:
        return [range(size)]
    ends = np.moveaxis(ends, axis, 0).reshape(size, -1)
    cuts = np.flatnonzero((ends[1:] != ends[:-1]).any(1)) + 1
    return [range(a, b) for a, b in pairwise([0, *cuts.tolist(), size])]


def _grouped(heads: list[range], group: int) -> list[range]:
    """Return runs of heads that are whole groups of a key head, or each within one."""
    if all(run.start % group == 0 for run in heads):
        return heads
    cuts = {end for run in heads for end in (run.start, run.stop)}
    cuts |= set(range(0, heads[-1].stop, group))
    return [range(a, b) for a, b in pairwise(sorted(cuts))]


def _segments(keys: _Keys) -> Iterator[tuple[range, int]]:
    """Yield stretches of strips with keys of their own, and how many keys lie between their ends.

    They are cut where all keys before a strip lie before all keys from there on.
    """
    count, wanted = keys.first.shape[1], keys.stop > keys.first
    if not count:
        yield range(0), 0
        return
    low = np.where(wanted, keys.first, keys.stop.max(initial=0)).min(0)
    high = np.where(wanted, keys.stop, 0).max(0)
    before, after = np.maximum.accumulate(high), np.minimum.accumulate(low[::-1])[::-1]
    empty: Array = ~np.any(wanted, axis=0)
    cuts = np.flatnonzero((before[:-1] <= after[1:]) & ~(empty[:-1] & empty[1:])) + 1
    begins = np.append(0, cuts)
    lows, highs = np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins)
    lengths = np.maximum(highs - lows, 0).tolist()
    ends = pairwise([*begins.tolist(), count])
    yield from ((range(a, b), length) for (a, b), length in zip(ends, lengths, strict=True))


def _joined(segments: Iterable[tuple[range, int]], call: int) -> Iterator[range]:
    """Yield stretches of strips, some that follow each other as one where a call costs more."""
    held, keys = range(0), 0
    for strips, count in segments:
        rows, more = len(held), len(strips)
        if rows and (rows + more) * (keys + count) > rows * keys + more * count + call:
            yield held
            held, keys = strips, count
        else:
            held, keys = range(held.start, strips.stop), keys + count
    yield held
