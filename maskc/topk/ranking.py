"""Keys by value: which are picked, their order, and the last that each query picks.

The order is that of ``topk``: larger values first, of equal values the lower index first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.ir.nodes import TRUE, And, Expr, TopK
from maskc.ir.types import Dim
from maskc.ir.vectorize import Domain
from maskc.passes.booleans.flatten import joined
from maskc.topk.nth_in_range import key_ranges, nth_in_ranges
from maskc.topk.query_rows import QueryRows, rows_of


def picked(term: TopK, domain: Domain) -> Tensor:
    """Return which keys a selection takes: bool ``[B | 1, H | 1, Q | 1, K]``."""
    rows = QueryRows(domain, term.deps)
    keep = torch.empty(len(rows), rows.keys, dtype=torch.bool, device=domain.device)
    for some in rows.chunks(keep.numel()):
        order = _order(rows, some, term.value, term.where)
        best = torch.arange(rows.keys, device=domain.device) < term.count
        if term.where != TRUE:
            best = best & rows.values(term.where, some).gather(1, order)
        keep[some] = torch.empty_like(order, dtype=torch.bool).scatter_(
            1, order, best.expand_as(order)
        )
    return keep.view(*rows.shape, rows.keys)


def ranked(term: TopK, domain: Domain) -> tuple[Tensor, Tensor]:
    """Return the keys in order and the rank of each key, both int32 ``[B | 1, H | 1, 1, K]``.

    Keys that no query may pick come last, so that the others' ranks are ranks among themselves.
    """
    always, _ = split(term.where)
    rows = QueryRows(domain, term.value.deps | always.deps)
    size = (len(rows), rows.keys)
    order, rank = torch.empty((2, *size), dtype=torch.int32, device=domain.device)
    ranks = torch.arange(rows.keys, dtype=torch.int32, device=domain.device)
    for some in rows.chunks(order.nbytes + rank.nbytes):
        keys = _order(rows, some, term.value, always)
        order[some] = keys.to(torch.int32)
        rank[some] = torch.empty_like(order[some]).scatter_(1, keys, ranks.expand_as(keys))
    return order.view(*rows.shape, rows.keys), rank.view(*rows.shape, rows.keys)


def thresholds(term: TopK, order: Tensor, rank: Tensor, domain: Domain) -> Tensor:
    """Return the rank of each query's last selected key, int32 ``[B | 1, H | 1, Q, 1]``.

    Where fewer keys are allowed than are to be selected, it is so large that all of them are.

    Args:
        term: a selection whose values do not depend on the query.
        order: the keys in order, ``[B | 1, H | 1, 1, K]``.
        rank: the rank of each key, likewise.
        domain: what the selection runs over.

    """
    _, moving = split(term.where)
    rows = QueryRows(domain, term.deps & ~Dim.K)
    ranges = key_ranges(moving, domain)
    if ranges is not None:
        last = nth_in_ranges(rank.squeeze(2), *ranges, term.count - 1)
        return last.unsqueeze(-1)
    return _counted(term, order, rows).view(*rows.shape, 1)


def split(where: Expr) -> tuple[Expr, Expr]:
    """Return the part of a mask that is the same for all queries, and the rest of it."""
    parts = where.args if isinstance(where, And) else (where,)
    always = tuple(part for part in parts if Dim.Q not in part.deps)
    moving = tuple(part for part in parts if Dim.Q in part.deps)
    return joined(And, always), joined(And, moving)


def _order(rows: QueryRows, some: Tensor, value: Expr, allowed: Expr) -> Tensor:
    """Return the keys by value, the allowed ones first: int64 ``[rows, K]``."""
    order = rows.values(value, some).argsort(dim=-1, descending=True, stable=True)
    if allowed == TRUE:
        return order
    last = ~rows.values(allowed, some).gather(1, order)
    return order.gather(1, last.argsort(dim=-1, stable=True))


def _counted(term: TopK, order: Tensor, rows: QueryRows) -> Tensor:
    """Count the allowed keys in order of rank, for each query, until there are enough."""
    last = torch.empty(len(rows), dtype=torch.int32, device=order.device)
    for some in rows.chunks(last.nbytes + order.nbytes):
        batch, head, _ = rows.locations(some)
        keys = rows_of(order.squeeze(2), batch, head).long()
        allowed = rows.values(term.where, some, keys)
        enough = allowed.cumsum(dim=-1, dtype=torch.int32) >= term.count
        last[some] = (~enough).sum(dim=-1, dtype=torch.int32)
    return last
