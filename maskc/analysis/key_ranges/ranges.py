"""Ranges ``[first, stop)`` of keys, one array entry for each query row, and their algebra.

While ranges are derived they are *loose*: a list of pairs of arrays that broadcast to
``[B, H, Q]``, in any order, overlapping, empty (``stop <= first``) or beyond the keys at will. That
makes an ``and`` two extrema and an ``or`` no work at all; ``tidied`` pays for order, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskc.limits import MAX_INT

Array = NDArray[Any]

MOST = 4
"""The most ranges a row may have. Kernels and tables gain from few; more are better searched."""


class Range(NamedTuple):
    """The keys ``first <= k < stop`` of each query row, none where ``stop <= first``."""

    first: Array
    stop: Array

    def is_empty(self) -> bool:
        """Tell whether no row has a key in this range."""
        return not bool((self.stop > self.first).any())


Ranges = tuple[Range, ...]
"""Loose ranges: the keys of a row are those in any of them."""


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """The keys of every query row, exactly.

    Attributes:
        ends: int32 ``[2, R, B | 1, H | 1, Q]``, the first keys and the ends of at most ``R = 4``
            ranges a row; the batch and the head are there where the mask depends on them. The
            ranges of a row ascend, are disjoint and do not touch; one that a row does not have is
            ``[0, 0)``.
        k_len: how many keys there are.
        all_have_keys: whether every row is known to have one.

    """

    ends: Array
    k_len: int
    all_have_keys: bool = False

    @property
    def first(self) -> Array:
        """The first keys ``[R, B | 1, H | 1, Q]``."""
        result: Array = self.ends[0]
        return result

    @property
    def stop(self) -> Array:
        """The ends, likewise."""
        result: Array = self.ends[1]
        return result

    @property
    def has_keys(self) -> Array:
        """Which query rows have a key, bool ``[B | 1, H | 1, Q]``."""
        result: Array = np.any(self.stop > self.first, axis=0)
        return result

    @property
    def counts(self) -> Array:
        """How many keys each query row has, int64 ``[B | 1, H | 1, Q]``."""
        total: Array = (self.stop - self.first).sum(0, dtype=np.int64)
        return total


def number(value: int) -> Array:
    """Return an int for all rows, in 32 bits if these hold it: what it meets stays narrow then."""
    return np.asarray(value, np.int32 if -MAX_INT <= value <= MAX_INT else np.int64)


START, END = number(0), number(2**62)
"""The ends of ranges without a bound on one side; told by identity, so that they cost nothing."""


def spread(x: Array, shape: tuple[int, ...]) -> Array:
    """Return an array in a shape that it broadcasts to; numpy takes its time even for its own."""
    return x if x.shape == shape else np.broadcast_to(x, shape)


def everything(k_len: int) -> Ranges:
    """Return all keys for each row."""
    return (Range(number(0), number(k_len)),)


def intersected(parts: Sequence[Ranges], k_len: int) -> Ranges | None:
    """Return the keys that lie in all of ``parts``, None if they take too many ranges."""
    result, *others = parts or [everything(k_len)]
    for part in others:
        pairs = [_overlap(one, other) for one in result for other in part]
        kept = pairs if len(pairs) == 1 else [pair for pair in pairs if not pair.is_empty()]
        few = _few(tuple(kept), k_len)
        if few is None:
            return None
        result = few
    return result


def joined(parts: Sequence[Ranges], k_len: int) -> Ranges | None:
    """Return the keys that lie in any of ``parts``, None if they take too many ranges."""
    return _few(tuple(one for part in parts for one in part), k_len)


def without(part: Range, k_len: int) -> Ranges:
    """Return the keys before and after a range; before an empty one are all of them."""
    stop = np.maximum(part.first, part.stop)
    return Range(number(0), part.first), Range(stop, number(k_len))


def tidied(ranges: Ranges, k_len: int) -> list[Range]:
    """Return ranges within the keys that ascend and neither overlap nor touch.

    One that a row does not have is ``[k_len, k_len)``; of several one that no row has is left out.
    """
    result = [_cropped(one, k_len) for one in ranges]
    _sort(result)
    for place in range(1, len(result)):
        _merge(result, place, k_len)
    return result if len(result) == 1 else [one for one in result if not one.is_empty()]


def finished(ranges: Ranges, shape: tuple[int, int, int], k_len: int) -> KeyRanges | None:
    """Return loose ranges as those of ``[B | 1, H | 1, Q]`` rows, None if they are too many."""
    result = list(ranges) if len(ranges) == 1 else tidied(ranges, k_len)
    if len(result) > MOST:
        _sort(result)  # a merge leaves gaps: rows that use different ranges may share one
        result = [one for one in result if not one.is_empty()]
    if len(result) > MOST:
        return None
    ends = np.empty((2, len(result), *shape), np.int32)
    all_have_keys = False
    for index, one in enumerate(result):
        np.maximum(_narrow(one.first, k_len), 0, out=ends[0, index])
        np.minimum(_narrow(one.stop, k_len), k_len, out=ends[1, index])
        missing = ends[0, index] >= ends[1, index]
        if missing.any():
            ends[:, index, missing] = 0
        else:
            all_have_keys = True
    return KeyRanges(ends, k_len, all_have_keys)


def _overlap(one: Range, other: Range) -> Range:
    return Range(_later(one.first, other.first), _earlier(one.stop, other.stop))


def _later(first: Array, other: Array) -> Array:
    if first is START or other is START:
        return other if first is START else first
    later: Array = np.maximum(first, other)
    return later


def _earlier(stop: Array, other: Array) -> Array:
    if stop is END or other is END:
        return other if stop is END else stop
    earlier: Array = np.minimum(stop, other)
    return earlier


def _few(ranges: Ranges, k_len: int) -> Ranges | None:
    if len(ranges) <= MOST:
        return ranges
    result = tuple(tidied(ranges, k_len))
    return result if len(result) <= MOST else None


def _narrow(end: Array, k_len: int) -> Array:
    """Return ends of ranges in 32 bits, those far beyond the keys as close ones."""
    if end.dtype == np.int32:
        return end
    return np.minimum(np.maximum(end, 0), k_len).astype(np.int32)


def _cropped(one: Range, k_len: int) -> Range:
    first, stop = np.maximum(one.first, 0), _earlier(one.stop, number(k_len))
    missing = stop <= first
    if not missing.any():
        return Range(first, stop)
    return Range(np.where(missing, k_len, first), np.where(missing, k_len, stop))


def _sort(ranges: list[Range]) -> None:
    """Put ranges in the order of their first keys, by exchanging neighbours."""
    for end in range(len(ranges) - 1, 0, -1):
        for place in range(end):
            one, other = ranges[place : place + 2]
            swap = other.first < one.first
            if swap.any():
                ranges[place] = _chosen(swap, other, one)
                ranges[place + 1] = _chosen(swap, one, other)


def _chosen(where: Array, one: Range, other: Range) -> Range:
    """Return one range in some rows, the other in the others."""
    first = np.where(where, one.first, other.first)
    return Range(first, np.where(where, one.stop, other.stop))


def _merge(ranges: list[Range], place: int, k_len: int) -> None:
    """Put a range into the next one where they overlap or touch."""
    one, other = ranges[place - 1], ranges[place]
    meets = (other.first <= one.stop) & (other.first < other.stop) & (one.first < one.stop)
    if meets.any():
        first = np.where(meets, one.first, other.first)
        stop = np.where(meets, np.maximum(one.stop, other.stop), other.stop)
        ranges[place] = Range(first, stop)
        ranges[place - 1] = Range(*(np.where(meets, k_len, end) for end in one))
