"""Refuse, before anything runs, a subscript that leaves its input and a division by zero.

What ``head`` and ``batch`` index has exactly that many entries, or 1. Any other subscript is in
question only at pairs that can be reached: a mask, a ``where`` or the left side of an ``&`` may
guard it. The question is itself a mask, "reached and outside", and whether it is true anywhere is
decided exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from maskc.analysis.search import any_true
from maskc.errors import BindError
from maskc.ir.evaluate import Point
from maskc.ir.nodes import (
    And,
    Arith,
    Compare,
    Expr,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Same,
    Where,
    children,
    inputs,
    walk,
)
from maskc.ir.rows import Shape, side_name
from maskc.ir.text import expr_text
from maskc.ir.types import ArithOp, CompareOp, Ix, Sz, Type
from maskc.ir.vectorize import ROW_INDICES, At, Domain, everywhere, vectorize
from maskc.runtime.request import Request

if TYPE_CHECKING:
    from torch import Tensor


FEW = 2**24
"""How many values of a subscript are looked at for an error message."""

_EXACT = {Ix.BATCH: Sz.BATCH_SIZE, Ix.HEAD: Sz.NUM_HEADS, Ix.KV_HEAD: Sz.NUM_KV_HEADS}


@dataclass(frozen=True, slots=True)
class Danger:
    """A term that is wrong where ``wrong`` holds, reached where all of ``guards`` hold."""

    term: Expr
    dim: int
    wrong: Expr
    guards: tuple[Expr, ...]


def check_counts(
    roots: Iterable[Expr],
    shapes: Mapping[str, Shape | tuple[Shape, Shape]],
    tensors: Mapping[str, Tensor],
    request: Request,
) -> None:
    """Refuse a dimension for heads or batches that has another number of entries than there are.

    Args:
        roots: the program, still over logical indices.
        shapes: how the tensors are laid out.
        tensors: the bound inputs.
        request: the sizes of the call. With a ``head_offset`` the heads of the whole model may be
            bound, and only reading past the end is wrong.

    Raises:
        BindError: a count does not fit.

    """
    for load in (term for term in walk(*roots) if isinstance(term, Load)):
        layout = shapes[load.input.name]
        sides = layout if isinstance(layout, tuple) else (layout,)
        for side, shape in zip("qk", sides, strict=False):
            name = load.input.name
            tensor = tensors[side_name(name, side) if isinstance(layout, tuple) else name]
            for dim, index in enumerate(load.indices, start=int(shape.batched)):
                _check_count(load, index, tensor.shape[dim], request)


def _check_count(load: Load, index: Expr, found: int, request: Request) -> None:
    if not isinstance(index, Index) or index.which not in _EXACT:
        return
    if request.head_offset and index.which is not Ix.BATCH:
        return
    size = _EXACT[index.which]
    expected = request.sizes[size]
    if found not in (1, expected):
        message = (
            f"input `{load.input.name}` has {found} entries along `{index.which.value}`, "
            f"expected {expected} ({size.value}) or 1"
        )
        raise BindError("M416", message, load.span)


def check_reads(expr: Expr, domain: Domain, reached: Expr | None = None) -> None:
    """Refuse a row expression that reads outside an input or divides by zero where it is reached.

    Args:
        expr: the row expression.
        domain: its tensors and sizes.
        reached: where the expression matters; the mask, for a score.

    Raises:
        BindError: it names the input, the subscript, and by how much it leaves.

    """
    shapes = tuple((s.name, tuple(domain.tensors[s.name].shape)) for s in inputs(expr))
    for danger in _open_dangers(Same(expr), shapes, tuple(domain.sizes.items())):
        guards = danger.guards if reached is None else (reached, *danger.guards)
        question = And((*guards, danger.wrong)) if guards else danger.wrong
        found = any_true(question, domain)
        if found is not None:
            raise _error(danger, found, domain)


@lru_cache(maxsize=4096)
def _open_dangers(
    root: Same, shapes: tuple[tuple[str, tuple[int, ...]], ...], sizes: tuple[tuple[Sz, int], ...]
) -> tuple[Danger, ...]:
    """Return what may go wrong and is not ruled out by sizes alone, whatever the tensors hold."""
    import torch

    domain = Domain(dict(sizes), {}, torch.device("cpu"))
    return tuple(
        danger
        for danger in dict.fromkeys(_dangers(root.expr, dict(shapes), domain, ()))
        if inputs(danger.wrong) or any_true(danger.wrong, domain) is not None
    )


def _dangers(
    expr: Expr,
    shapes: Mapping[str, tuple[int, ...]],
    domain: Domain,
    guards: tuple[Expr, ...],
) -> Iterator[Danger]:
    """Yield what may go wrong in a row expression, with what guards it."""
    guarded: list[tuple[Expr, tuple[Expr, ...]]]
    match expr:
        case And(args):
            guarded = [(arg, args[:place]) for place, arg in enumerate(args)]
        case Or(args):
            denied = tuple(Not(arg) for arg in args)
            guarded = [(arg, denied[:place]) for place, arg in enumerate(args)]
        case Where(cond, then, other):
            guarded = [(cond, ()), (then, (cond,)), (other, (Not(cond),))]
        case _:
            guarded = [(child, ()) for child in children(expr)]
    for wrong, dim in _wrongs(expr, shapes, domain):
        yield Danger(expr, dim, wrong, guards)
    for child, more in guarded:
        yield from _dangers(child, shapes, domain, (*guards, *more))


def _wrongs(
    expr: Expr, shapes: Mapping[str, tuple[int, ...]], domain: Domain
) -> Iterator[tuple[Expr, int]]:
    """Yield where a term itself is wrong, and which of its subscripts is."""
    match expr:
        case Load(source, indices):
            for dim, (index, size) in enumerate(zip(indices, shapes[source.name], strict=True)):
                if not _is_inside(index, size, domain):
                    yield _outside(index, size), dim
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor) if expr.type is Type.INT:
            if not (isinstance(divisor, IntConst) and divisor.value):
                yield Compare(CompareOp.EQ, divisor, IntConst(0)), 0


def _is_inside(index: Expr, size: int, domain: Domain) -> bool:
    """Tell whether a subscript cannot leave its dimension, without looking at any pair."""
    match index:
        case Index(which):
            return domain.extent(which) <= size
        case IntConst(value):
            return 0 <= value < size
        case _:
            return False


def _outside(index: Expr, size: int) -> Expr:
    low = Compare(CompareOp.LT, index, IntConst(0))
    high = Compare(CompareOp.LE, IntConst(size), index)
    return Or((low, high))


def _error(danger: Danger, found: Point, domain: Domain) -> BindError:
    load = danger.term
    if not isinstance(load, Load):
        message = f"`{expr_text(load)}` divides by zero for these inputs"
        return BindError("M418", message, load.span, "guard it: `where(n > 0, q // n, 0)`")
    name, index = load.input.name.partition("@")[0], load.indices[danger.dim]
    size = domain.tensors[load.input.name].shape[danger.dim]
    low, high = _extremes(index, found, domain)
    reads = f"`{_written(load, danger.dim)}` reads"
    if high >= size:
        short = f"{high - size + 1} too few"
        message = f"input `{name}` has {size} entries where {reads} up to {high}: {short}"
        help = "give one entry for each value of the subscript, or guard it with `where`"
    else:
        message = f"input `{name}` starts at entry 0, and {reads} down to {low}"
        help = "shift the subscript, or guard it with `where`"
    return BindError("M417", message, load.span, help)


def _extremes(index: Expr, found: Point, domain: Domain) -> tuple[int, int]:
    """Return the least and the largest value of a subscript, of too many only that at ``found``."""
    at = everywhere(domain)
    if prod(domain.extent(which) for which in ROW_INDICES if which.dim in index.deps) > FEW:
        point = (found.batch, found.head, found.q_idx, found.kv_idx)
        rows = zip(ROW_INDICES, point, strict=True)
        at = At({which: at.indices[which].flatten()[row].view(1, 1, 1, 1) for which, row in rows})
    values = vectorize(index, at, domain)
    return int(values.min()), int(values.max())


def _written(load: Load, dim: int) -> str:
    if load.span is not None and len(load.span.text) <= 60:
        return load.span.text
    return expr_text(load.indices[dim])
