"""Drawn programs over the rows of drawn cases: what the binder makes, spelled out once more.

Nothing here comes from ``maskc.binding``, so that the lowerings are tested without it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from environments import Case

from maskc.ir.nodes import Expr, Load, Module, walk
from maskc.ir.rows import Layout, Position, Shape, side_name, to_rows
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain


def layout_of(case: Case, roots: Iterable[Expr], offsets: bool = False) -> Layout:
    """Return how the case binds its inputs; ``offsets`` turns runs of positions into offsets."""
    ranks = {t.input.name: len(t.indices) for t in walk(*roots) if isinstance(t, Load)}
    shapes: dict[str, Shape | tuple[Shape, Shape]] = {}
    for name, bound in case.inputs.items():
        if isinstance(bound, tuple):
            first, second = (_shape(side, ranks[name]) for side in bound)
            shapes[name] = (first, second)
        else:
            shapes[name] = _shape(bound, ranks[name])
    return Layout(
        q=_position(case.q_positions, offsets),
        k=_position(case.kv_positions, offsets),
        group=case.num_heads // case.num_kv_heads,
        shapes=shapes,
    )


def domain_of(case: Case, layout: Layout) -> Domain:
    """Return the sizes and tensors of the case, for programs of ``layout``."""
    tensors: dict[str, torch.Tensor] = {}
    for name, bound in case.inputs.items():
        if isinstance(bound, tuple):
            tensors |= {side_name(name, side): t for side, t in zip("qk", bound, strict=True)}
        else:
            tensors[name] = bound
    sides = (
        ("q_positions", case.q_positions, layout.q),
        ("kv_positions", case.kv_positions, layout.k),
    )
    for name, table, form in sides:
        if table is not None:
            by_offset = form in (Position.OFFSET, Position.BATCH_OFFSET)
            tensors[name] = table[..., 0] if by_offset else table
    return Domain({w: getattr(case, w.value) for w in Sz}, tensors, torch.device("cpu"))


def rows_of(expr: Expr, case: Case, offsets: bool = False) -> tuple[Expr, Domain]:
    """Return an expression over the rows of a case, and what it runs over."""
    layout = layout_of(case, [expr], offsets)
    return to_rows(expr, layout), domain_of(case, layout)


def module_rows_of(module: Module, case: Case, offsets: bool = False) -> tuple[Module, Domain]:
    """Return a whole program over the rows of a case, and what it runs over."""
    layout = layout_of(case, module.roots, offsets)
    return module.map(lambda root: to_rows(root, layout)), domain_of(case, layout)


def _shape(bound: torch.Tensor, rank: int) -> Shape:
    return Shape(bound.dim() > rank, tuple(size == 1 for size in bound.shape))


def _position(table: torch.Tensor | None, offsets: bool) -> Position:
    if table is None:
        return Position.ROW
    is_run = bool((table == table[..., :1] + torch.arange(table.shape[-1])).all())
    if offsets and is_run:
        return Position.BATCH_OFFSET if table.dim() == 2 else Position.OFFSET
    return Position.BATCH_TABLE if table.dim() == 2 else Position.TABLE
