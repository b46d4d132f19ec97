"""Name ids in the order in which they first occur, where a mask only asks whether two are equal.

``doc[q] == doc[k]`` does not change when ids are renamed. In packed sequences equal ids lie side
by side; numbered by their first occurrence they grow, and their ranges over two tiles then overlap
only if the tiles share an id. Ids in any other order say little by their range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from maskc.ir.nodes import Compare, Expr, Input, Load, rewrite, walk
from maskc.ir.operators import CompareOp
from maskc.ir.types import Type
from maskc.ir.vectorize import Domain

SHORTEST_RUN = 1.5
"""Ids whose runs are shorter on average are left alone: no numbering helps them."""


Numbering = Callable[[Tensor], Tensor | None]
"""Names the ids of each row of the last dimension by numbers; None if that would not help."""


def renumber_ids(
    expr: Expr, domain: Domain, numbering: Numbering | None = None
) -> tuple[Expr, Mapping[str, Tensor]]:
    """Return ``expr`` with ids renamed where that changes nothing, and the tensors it reads.

    Args:
        expr: a row expression.
        domain: its tensors.
        numbering: how to name ids; by the first run of their like if None.

    """
    tensors = dict(domain.tensors)
    if not _compares_loads(expr):
        return expr, tensors
    renamed: dict[tuple[str, str], bool] = {}

    def rule(term: Expr) -> Expr | None:
        match term:
            case Compare(CompareOp.EQ | CompareOp.NE as op, Load() as left, Load() as right):
                pair = left.input.name, right.input.name
            case _:
                return None
        a, b = (tensors[name] for name in pair)
        if not _renamable(left, right, a, b):
            return None
        if pair not in renamed:
            numbers = _numbered_pair(a, b, numbering or _numbered)
            renamed[pair] = numbers is not None
            tensors.update(zip(map("#".join, (pair, pair[::-1])), numbers or (), strict=False))
        if not renamed[pair]:
            return None
        return Compare(op, _reading("#".join(pair), left), _reading("#".join(pair[::-1]), right))

    return rewrite(expr, rule), tensors


@lru_cache(maxsize=1024)
def _compares_loads(expr: Expr) -> bool:
    """Tell whether there is an equality of two elements of inputs."""
    return any(
        isinstance(term, Compare) and isinstance(term.left, Load) and isinstance(term.right, Load)
        for term in walk(expr)
    )


def _renamable(left: Load, right: Load, a: Tensor, b: Tensor) -> bool:
    """Whether both read int ids along their last dimension, at the same place of the others."""
    return (
        left.type is Type.INT
        and right.type is Type.INT
        and bool(left.indices and right.indices)
        and left.indices[:-1] == right.indices[:-1]
        and a.shape[:-1] == b.shape[:-1]
        and a.numel() > 0
        and b.numel() > 0
    )


def _numbered_pair(a: Tensor, b: Tensor, numbering: Numbering) -> tuple[Tensor, Tensor] | None:
    """Return the ids of two inputs by number, None if that would not help."""
    if a is b:
        numbers = numbering(a)
        return None if numbers is None else (numbers, numbers)
    numbers = numbering(torch.cat([a, b], dim=-1))
    if numbers is None:
        return None
    return numbers[..., : a.shape[-1]], numbers[..., a.shape[-1] :]


def _numbered(ids: Tensor) -> Tensor | None:
    """Return for each id the place of the first run of its like, in its row of the last dimension.

    None where ids grow already, or hardly form runs.
    """
    rows = ids.reshape(-1, ids.shape[-1])
    if bool((rows[:, 1:] >= rows[:, :-1]).all()):
        return None
    begins = torch.ones_like(rows, dtype=torch.bool)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    row, column = begins.nonzero(as_tuple=True)
    if len(row) * SHORTEST_RUN > rows.numel():
        return None
    value = rows[row, column]
    order = value.argsort(stable=True)  # runs of one value stay in order, row by row
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = (value[order][1:] != value[order][:-1]) | (row[order][1:] != row[order][:-1])
    place = torch.arange(len(order), device=ids.device)
    number = torch.empty_like(order)
    number[order] = order[torch.where(first, place, 0).cummax(0).values]
    return number[begins.flatten().cumsum(0) - 1].view(ids.shape)


def _reading(name: str, load: Load) -> Load:
    """Return ``load`` from another tensor; a name with ``#`` is none that a program can write."""
    return Load(Input(name, load.input.type), load.indices, span=load.span)
