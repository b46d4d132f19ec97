"""The least and the largest element of an input over intervals of its subscripts.

Subscripts that are one value on each tile are read as they are. One that runs over an interval is
answered from a table of window minima (Bender and Farach-Colton, The LCA Problem Revisited, 2000):
layer ``l`` holds the minimum of every ``2 ** l`` neighbouring cells, so two overlapping windows
cover any interval exactly, however much intervals differ in length. Several at once are answered
from cells of one size for all tiles, a few reads each.

Both are built over cells of a few elements, so an interval is rounded outward to whole cells, and
the maximum is found as a minimum: ``x -> ~x`` (``-x`` for floats) turns the order around and never
overflows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from maskc.analysis.intervals.domain import Bounds, Operand, Truth, greatest, least
from maskc.ir.vectorize import widened
from maskc.limits import MAX_INT64

CELLS, FINEST = 1024, 16
"""A dimension of more elements than ``CELLS`` is cut into cells of 2 to ``FINEST`` elements."""


@dataclass(slots=True)
class Gather:
    """What is known of the inputs, each worked out when first asked for."""

    windows: dict[tuple[str, int, int], Tensor] = field(default_factory=dict)
    cells: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)
    reaches: dict[str, int] = field(default_factory=dict)

    def numbers(self, name: str, source: Tensor, subscripts: Sequence[Bounds]) -> Bounds:
        """Return the bounds of a number read from ``source`` at ``subscripts``."""
        reach = 0 if source.is_floating_point() else self._reach(name, source)
        lo, hi = self._ends(name, source, subscripts)
        lo = _widened(lo)
        return Bounds(lo, lo if hi is None else _widened(hi), reach)

    def booleans(self, name: str, source: Tensor, subscripts: Sequence[Bounds]) -> Truth:
        """Return what is known of a boolean read from ``source`` at ``subscripts``."""
        lo, hi = self._ends(name, source.view(torch.uint8), subscripts)
        return Truth(lo != 0, (lo if hi is None else hi) == 0)

    def _ends(
        self, name: str, array: Tensor, subscripts: Sequence[Bounds]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the minimum and the maximum; None for a maximum that is the minimum."""
        places = [_inside(b, size) for b, size in zip(subscripts, array.shape, strict=True)]
        wide = [dim for dim, place in enumerate(places) if not place.exact]
        if not wide:
            return array[tuple(place.lo for place in places)] if places else array, None
        if len(wide) == 1:
            return self._window(name, array, places, wide[0])
        return self._rectangle(name, array, places)

    def _reach(self, name: str, source: Tensor) -> int:
        if name not in self.reaches:
            ends = source.aminmax() if source.numel() else (0, 0)
            self.reaches[name] = min(max(-int(ends[0]), int(ends[1])), MAX_INT64 + 1)
        return self.reaches[name]

    def _longest(self, count: Tensor, size: int) -> int:
        """Return how many of ``size`` cells the longest interval holds, or more."""
        return int(count.max()) if count.numel() else 1

    def _window(
        self, name: str, array: Tensor, places: Sequence[Bounds], dim: int
    ) -> tuple[Tensor, Tensor]:
        size = array.shape[dim]
        cell = max(1, min(FINEST, 1 << (size // CELLS).bit_length() - 1)) if size > CELLS else 1
        first, last = places[dim].lo // cell, places[dim].hi // cell
        count = torch.as_tensor(last - first + 1, device=array.device)
        most = self._longest(count, -(-size // cell))
        table = self._table(name, array, dim, cell, most.bit_length())
        points = tuple(place.lo for at, place in enumerate(places) if at != dim)
        if most == 1:
            result = table[(slice(None), 0, *points, first)]
            return result[0], _turned(result[1])
        layer = torch.frexp(count.to(torch.float32)).exponent.to(torch.int64) - 1
        second = last + 1 - (1 << layer)
        result = torch.minimum(
            table[(slice(None), layer, *points, first)],
            table[(slice(None), layer, *points, second)],
        )
        return result[0], _turned(result[1])

    def _table(self, name: str, array: Tensor, dim: int, cell: int, layers: int) -> Tensor:
        """Return window minima ``[2, layer, ..., cell]`` of the input and of the turned input."""
        key = name, dim, cell
        table = self.windows.get(key)
        if table is None:
            cells = _cells(array.movedim(dim, -1), cell)
            self.windows[key] = table = cells.unsqueeze(1)
        while table.shape[1] < layers:
            table = torch.cat([table, _doubled(table[:, -1], 1 << table.shape[1] - 1)], dim=1)
            self.windows[key] = table
        return table

    def _rectangle(
        self, name: str, array: Tensor, places: Sequence[Bounds]
    ) -> tuple[Tensor, Tensor]:
        sizes = tuple(_cell_size(place) for place in places)
        key = name, sizes
        if key not in self.cells:
            self.cells[key] = _rectangles(array, sizes)
        cells = self.cells[key]
        ways: list[list[Operand]] = []
        for place, cell in zip(places, sizes, strict=True):
            first, last = place.lo // cell, place.hi // cell
            count = 1 if place.exact else int(torch.as_tensor(last - first).max()) + 1
            ways.append([least(first + step, last) for step in range(count)])
        result = None
        for way in product(*ways):
            read = _read(cells, way)
            result = read if result is None else torch.minimum(result, read)
        assert result is not None
        return result[0], _turned(result[1])


def _read(cells: Tensor, way: Sequence[Operand]) -> Tensor:
    """Return ``cells[:, *way]``; on CPU by numpy, as torch's own enters an OpenMP region for it."""
    if cells.device.type != "cpu" or cells.is_floating_point():
        return cells[(slice(None), *way)]
    at = (x.numpy() if isinstance(x, Tensor) else x for x in way)
    return torch.from_numpy(cells.numpy()[(slice(None), *at)])


def _inside(place: Bounds, size: int) -> Bounds:
    """Keep a subscript within its dimension, as the evaluation on tensors does."""
    if place.exact and isinstance(place.lo, int):
        index = min(max(place.lo, 0), size - 1)
        return Bounds(index, index)
    lo = least(greatest(place.lo, 0), size - 1)
    return Bounds(lo, lo if place.exact else least(greatest(place.hi, 0), size - 1))


def _cell_size(place: Bounds) -> int:
    """Return the largest power of two that the longest interval holds."""
    if place.exact:
        return 1
    return 1 << int(torch.as_tensor(place.hi - place.lo).max() + 1).bit_length() - 1


def _cells(array: Tensor, cell: int) -> Tensor:
    """Return the minima ``[2, ..., ceil(S / cell)]`` of the input and of the turned input."""
    if cell == 1:
        return torch.stack([array, _turned(array)])
    parts = _in_cells(array, array.dim() - 1, cell)
    return torch.stack([parts.amin(-1), _turned(parts.amax(-1))])


def _rectangles(array: Tensor, sizes: Sequence[int]) -> Tensor:
    lo = hi = array
    for dim, cell in enumerate(sizes):
        if cell > 1:
            lo = _in_cells(lo, dim, cell).amin(dim + 1)
            hi = _in_cells(hi, dim, cell).amax(dim + 1)
    return torch.stack([lo, _turned(hi)])


def _in_cells(array: Tensor, dim: int, cell: int) -> Tensor:
    """Split a dimension into ``[cells, cell]``; the last element fills up the last cell."""
    missing = -array.shape[dim] % cell
    if missing:
        last = array.narrow(dim, array.shape[dim] - 1, 1)
        array = torch.cat([array, last.repeat_interleave(missing, dim)], dim)
    return array.reshape(*array.shape[:dim], -1, cell, *array.shape[dim + 1 :])


def _doubled(layer: Tensor, width: int) -> Tensor:
    """Return the next layer ``[2, 1, ..., cell]``; windows that stick out end at the last cell."""
    size = layer.shape[-1]
    step = min(width, size)
    later = torch.cat([layer[..., step:], layer[..., -1:].expand(*layer.shape[:-1], step)], -1)
    return torch.minimum(layer, later).unsqueeze(1)


def _widened(x: Tensor) -> Tensor:
    """Return ints as 64 bits, floats as they are read."""
    return widened(x) if x.is_floating_point() else x.to(torch.int64)


def _turned(x: Tensor) -> Tensor:
    """Turn the order around."""
    return -x if x.is_floating_point() else ~x
