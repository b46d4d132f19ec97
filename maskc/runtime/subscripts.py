"""Refuse, before anything runs, a subscript that leaves its input and a division by zero.

What ``head`` and ``batch`` index has exactly that many entries, or 1. Any other subscript is in
question only at pairs that can be reached: a mask, a ``where`` or the left side of an ``&`` may
guard it. The question is itself a mask, "reached and outside", and whether it is true anywhere is
decided exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskc.analysis.search import any_true
from maskc.errors import BindError
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
    Where,
    children,
    walk,
)
from maskc.ir.rows import Shape, side_name
from maskc.ir.text import expr_text
from maskc.ir.types import ArithOp, CompareOp, Ix, Sz, Type
from maskc.ir.vectorize import Domain, everywhere, vectorize
from maskc.runtime.request import Request

if TYPE_CHECKING:
    from torch import Tensor


_EXACT = {Ix.BATCH: Sz.BATCH_SIZE, Ix.HEAD: Sz.NUM_HEADS, Ix.KV_HEAD: Sz.NUM_KV_HEADS}


@dataclass(frozen=True, slots=True)
class Danger:
    """A term that is wrong where ``wrong`` holds, reached where all of ``guards`` hold."""

    term: Load | Arith
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
    guards = () if reached is None else (reached,)
    for danger in dict.fromkeys(dangers(expr, domain, guards)):
        parts = (*danger.guards, danger.wrong)
        question = And(parts) if len(parts) > 1 else danger.wrong
        if any_true(question, domain) is not None:
            raise (
                _outside_error(danger, domain)
                if isinstance(danger.term, Load)
                else BindError(
                    "M418",
                    f"`{expr_text(danger.term)}` divides by zero for these inputs",
                    danger.term.span,
                    "guard it: `where(n > 0, q // n, 0)`",
                )
            )


def dangers(expr: Expr, domain: Domain, guards: tuple[Expr, ...] = ()) -> Iterator[Danger]:
    """Yield what may go wrong in a row expression."""
    match expr:
        case And(args):
            for place, arg in enumerate(args):
                yield from dangers(arg, domain, (*guards, *args[:place]))
            return
        case Or(args):
            for place, arg in enumerate(args):
                yield from dangers(arg, domain, (*guards, *(Not(a) for a in args[:place])))
            return
        case Where(cond, then, other):
            yield from dangers(cond, domain, guards)
            yield from dangers(then, domain, (*guards, cond))
            yield from dangers(other, domain, (*guards, Not(cond)))
            return
        case Load(source, indices):
            tensor = domain.tensors[source.name]
            for dim, (index, size) in enumerate(zip(indices, tensor.shape, strict=True)):
                if not _is_inside(index, size, domain):
                    yield Danger(expr, dim, _outside(index, size), guards)
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor) if expr.type is Type.INT:
            if not (isinstance(divisor, IntConst) and divisor.value):
                zero = Compare(CompareOp.EQ, divisor, IntConst(0))
                yield Danger(expr, 0, zero, guards)
    for child in children(expr):
        yield from dangers(child, domain, guards)


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


def _outside_error(danger: Danger, domain: Domain) -> BindError:
    load = danger.term
    assert isinstance(load, Load)
    name, index = load.input.name.partition("@")[0], load.indices[danger.dim]
    size = domain.tensors[load.input.name].shape[danger.dim]
    low, high = _extremes(index, domain)
    reads = f"`{_written(load, danger.dim)}` reads"
    if high >= size:
        short = f"{high - size + 1} too few"
        message = f"input `{name}` has {size} entries where {reads} up to {high}: {short}"
        help = "give one entry for each value of the subscript, or guard it with `where`"
    else:
        message = f"input `{name}` starts at entry 0, and {reads} down to {low}"
        help = "shift the subscript, or guard it with `where`"
    return BindError("M417", message, load.span, help)


def _written(load: Load, dim: int) -> str:
    if load.span is not None and len(load.span.text) <= 60:
        return load.span.text
    return expr_text(load.indices[dim])


def _extremes(index: Expr, domain: Domain) -> tuple[int, int]:
    """Return the least and the largest value of a subscript, over all pairs."""
    values = vectorize(index, everywhere(domain), domain)
    return int(values.min()), int(values.max())
