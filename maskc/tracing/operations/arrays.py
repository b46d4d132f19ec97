"""Operations on small arrays of terms: moving elements, and reducing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from maskc.ir.nodes import Call, Compare, Expr, IntConst
from maskc.ir.operators import ArithOp, CompareOp, Fn
from maskc.ir.types import Type
from maskc.tracing.operations.terms import as_type, conjunction, disjunction, number, total, truth

VIEWS = frozenset(
    {"unsqueeze", "squeeze", "view", "_unsafe_view", "reshape", "expand", "permute", "transpose"}
    | {
        "t",
        "flatten",
        "select",
        "slice",
        "unbind",
        "flip",
        "clone",
        "detach",
        "alias",
        "contiguous",
    }
    | {"lift_fresh", "lift_fresh_copy", "positive", "view_as", "unfold", "diagonal", "split"}
)
"""Operations that move elements and compute nothing."""

JOINS = frozenset({"cat", "stack"})

FILLS: Mapping[str, int | None] = {
    "new_ones": 1,
    "ones_like": 1,
    "new_zeros": 0,
    "zeros_like": 0,
    "new_full": None,
    "full_like": None,
    "fill": None,
}
"""Operations that look at shape and dtype only, and the value they fill in (None: an argument)."""


def spread(
    nodes: tuple[Expr, ...], shape: Sequence[int], wanted: Sequence[int]
) -> tuple[Expr, ...]:
    """Return the elements of an array that is broadcast to another shape."""
    if tuple(shape) == tuple(wanted):
        return nodes
    order = torch.arange(len(nodes)).view(tuple(shape)).expand(tuple(wanted))
    return tuple(nodes[place] for place in order.flatten().tolist())


def moved(
    function: Callable[..., Any],
    nodes: tuple[Expr, ...],
    shape: Sequence[int],
    *args: Any,
    **kw: Any,
) -> list[tuple[tuple[Expr, ...], tuple[int, ...]]]:
    """Return what a view gives: the elements and the shape of each result."""
    result = function(torch.arange(len(nodes)).view(tuple(shape)), *args, **kw)
    parts = [result] if isinstance(result, Tensor) else result
    return [
        (tuple(nodes[place] for place in part.flatten().tolist()), tuple(part.shape))
        for part in parts
    ]


def _extreme(fn: Fn) -> Callable[[Type, list[Expr]], Expr]:
    def fold(kind: Type, parts: list[Expr]) -> Expr:
        if kind is Type.BOOL:
            return (disjunction if fn is Fn.MAX else conjunction)(parts)
        return Call(fn, tuple(parts)) if len(parts) > 1 else parts[0]

    return fold


def _sum(op: ArithOp) -> Callable[[Type, list[Expr]], Expr]:
    return lambda kind, parts: as_type(total([number(part) for part in parts], op), kind)


REDUCTIONS: Mapping[str, Callable[[Type, list[Expr]], Expr]] = {
    "any": lambda kind, parts: disjunction(truth(part) for part in parts),
    "all": lambda kind, parts: conjunction(truth(part) for part in parts),
    "sum": _sum(ArithOp.ADD),
    "prod": _sum(ArithOp.MUL),
    "amax": _extreme(Fn.MAX),
    "amin": _extreme(Fn.MIN),
    "max": _extreme(Fn.MAX),
    "min": _extreme(Fn.MIN),
}


def groups(nodes: tuple[Expr, ...], shape: Sequence[int], dims: Any) -> list[list[Expr]]:
    """Return the elements that each element of a reduction is made of."""
    rank = len(shape)
    listed = [dims] if isinstance(dims, int) else list(dims or range(rank))
    reduced = {dim % max(rank, 1) for dim in listed} if rank else set()
    kept = [dim for dim in range(rank) if dim not in reduced]
    order = torch.arange(len(nodes)).view(tuple(shape)).permute([*kept, *sorted(reduced)])
    count = 1
    for dim in kept:
        count *= shape[dim]
    return [[nodes[place] for place in group] for group in order.reshape(count, -1).tolist()]


def is_in(elements: tuple[Expr, ...], tests: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Return for each element whether it equals one of ``tests``."""
    return tuple(
        disjunction(Compare(CompareOp.EQ, number(one), number(test)) for test in tests)
        for one in elements
    )


def ranks(edges: tuple[Expr, ...], values: tuple[Expr, ...], right: bool) -> tuple[Expr, ...]:
    """Return for each value how many of the sorted ``edges`` are below it; ``right``: or equal."""
    op = CompareOp.LE if right else CompareOp.LT
    return tuple(
        total([number(Compare(op, number(edge), number(value))) for edge in edges], ArithOp.ADD)
        if edges
        else IntConst(0)
        for value in values
    )
