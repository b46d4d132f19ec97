"""Block tables of tensors on a GPU, in operations whose shapes follow from the sizes alone.

Nothing waits for the device, so a training step goes on launching kernels while its tables are
made. Intervals tell of each block whether the mask is true all over it, or nowhere; what they leave
open is called partial. So a full block is one, and a partial block may hold nothing, or all: the
mask decides there anyway. Ids are named by where they first stand, so that those of packed
documents grow and none of their blocks is partial in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskc.analysis.intervals.domain import ANY_FLOAT, ANY_INT, OPEN, Bounds, Truth, conjunction
from maskc.analysis.intervals.evaluate import Box, Evaluation
from maskc.analysis.intervals.gather import Gather
from maskc.analysis.intervals.renumber_ids import renumber_ids
from maskc.analysis.tables.block_tables import Tables
from maskc.analysis.tiles.grid import (
    Grid,
    Pair,
    box,
    grid_of,
    matrices,
    spread,
    sticking_out,
)
from maskc.analysis.tiles.steady import is_steady, true_in_blocks
from maskc.ir.nodes import And, Expr, Input
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain
from maskc.limits import MAX_INT


def tables_on_device(mask: Expr, domain: Domain, block: Pair, backward: bool = True) -> Tables:
    """Write the eight tables, or the four by query, on the device of the tensors.

    Args:
        mask: a boolean row expression, whose ints are known to stay within 32 bits.
        domain: its tensors and sizes.
        block: how many rows of q and of kv a tile has.
        backward: whether to write those by key.

    """
    grid = grid_of(mask, domain, block)
    partial, full = _kinds(mask, domain, grid)
    tables = [*_listed(partial), *_listed(full)]
    if backward:
        tables += [*_listed(partial.mT), *_listed(full.mT)]
    return Tables(*tables)


def _kinds(mask: Expr, domain: Domain, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return which blocks are partial and which are full, bool ``[B, H, rows, columns]``."""
    tiles = matrices(grid).cut((1, 1))
    args = mask.args if isinstance(mask, And) else (mask,)
    rows = box(grid, tiles)
    truths = [
        _same_all_over(arg, domain, grid)
        if is_steady(arg, grid.block)
        else _by_intervals(arg, domain, rows)
        for arg in args
    ]
    shape = (grid.groups, *grid.blocks)
    always, never = spread(conjunction(truths), shape, grid.device)
    _, cropped = sticking_out(grid, tiles)
    full = always if cropped is None else always & ~cropped
    groups = (grid.batch, grid.heads, *grid.blocks)
    return (~never & ~full).reshape(groups), full.reshape(groups)


def _by_intervals(arg: Expr, domain: Domain, rows: Box) -> Truth:
    """Return what the intervals of rows tell of a boolean, and of ids that are named by place."""
    expr, tensors = renumber_ids(arg, domain, first_places)
    return Evaluation(domain.sizes, rows, _Reads(tensors)).truth(expr)


def _same_all_over(arg: Expr, domain: Domain, grid: Grid) -> Truth:
    """Return what is known of a boolean that is the same all over each block."""
    true = true_in_blocks(arg, domain, grid).reshape(grid.groups, *grid.blocks)
    return Truth(true, ~true)


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks each row has and which, those that it has first."""
    indices = torch.argsort(blocks.to(torch.int8), dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32), indices.to(torch.int32)


def first_places(ids: Tensor) -> Tensor:
    """Return for each id the place at which it first stands in its row of the last dimension."""
    ordered, order = ids.sort(dim=-1, stable=True)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    place = torch.arange(ids.shape[-1], device=ids.device)
    first = torch.where(begins, place, 0).cummax(-1).values
    return torch.empty_like(order).scatter_(-1, order, order.gather(-1, first))


class _Elements(Gather):
    """Elements of inputs over intervals, for any that the shapes allow."""

    def _reach(self, name: str, source: Tensor) -> int:
        return MAX_INT  # what enters arithmetic was checked when bound

    def _longest(self, count: Tensor, size: int) -> int:
        return size


@dataclass(frozen=True, slots=True)
class _Reads:
    """What is known of the elements of inputs, of which the host knows none."""

    tensors: Mapping[str, Tensor]
    elements: _Elements = field(default_factory=_Elements)

    def numbers(self, source: Input, places: Sequence[Bounds]) -> Bounds:
        """Return the bounds of a number."""
        if _ranges(places) > 1:
            return ANY_FLOAT if source.type is Type.FLOAT else ANY_INT
        return self.elements.numbers(source.name, self.tensors[source.name], places)

    def booleans(self, source: Input, places: Sequence[Bounds]) -> Truth:
        """Return what is known of a boolean."""
        if _ranges(places) > 1:
            return OPEN
        return self.elements.booleans(source.name, self.tensors[source.name], places)


def _ranges(places: Sequence[Bounds]) -> int:
    """Return how many subscripts run over an interval."""
    return sum(not place.exact for place in places)
