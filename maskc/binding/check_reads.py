"""Refuse, before anything runs, a subscript that leaves its input and a division by zero.

What ``head`` and ``batch`` index has exactly that many entries, or 1. Any other subscript is in
question only at pairs that can be reached: a mask, a ``where`` or the left side of an ``&`` may
guard it. The question is itself a mask, "reached and outside", and whether it is true anywhere is
decided exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import torch

from maskc.analysis.intervals.whole_call import whole_call
from maskc.analysis.tiles.any_true import any_true
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
    Where,
    children,
    inputs,
    walk,
)
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.rows import side_name
from maskc.ir.text import quoted
from maskc.ir.types import Ix, Sz, Type
from maskc.ir.vectorize import ROW_INDICES, At, Domain, everywhere, vectorize

FEW = 2**24
"""How many values of a subscript are looked at for an error message."""

Sides = tuple[tuple[bool, tuple[int, ...]], ...]
"""For each tensor of an input, one or a pair: whether a batch stands in front, and its shape."""

_EXACT = {Ix.BATCH: Sz.BATCH_SIZE, Ix.HEAD: Sz.NUM_HEADS, Ix.KV_HEAD: Sz.NUM_KV_HEADS}


@dataclass(frozen=True, slots=True)
class Danger:
    """A term that is wrong where ``wrong`` holds, reached where all of ``guards`` hold.

    ``by_sizes`` tells that ``wrong`` reads no input.
    """

    term: Expr
    dim: int
    wrong: Expr
    guards: tuple[Expr, ...]
    by_sizes: bool


def check_counts(
    roots: Iterable[Expr],
    shapes: Mapping[str, Sides],
    sizes: Mapping[Sz, int],
    head_offset: bool,
) -> None:
    """Refuse a dimension for heads or batches that has another number of entries than there are.

    Args:
        roots: the program, still over logical indices.
        shapes: of the bound inputs.
        sizes: of the call.
        head_offset: whether the heads of the whole model may be bound; then only reading past the
            end is wrong.

    Raises:
        BindError: a count does not fit.

    """
    for load in (term for term in walk(*roots) if isinstance(term, Load)):
        for batched, shape in shapes[load.input.name]:
            for index, result in zip(load.indices, shape[batched:], strict=True):
                match index:
                    case Index(Ix.HEAD | Ix.KV_HEAD) if head_offset:
                        pass
                    case Index(which) if which in _EXACT:
                        _check_count(load, which, result, shape, sizes)


def _check_count(
    load: Load, which: Ix, found: int, shape: tuple[int, ...], sizes: Mapping[Sz, int]
) -> None:
    size = _EXACT[which]
    expected = sizes[size]
    if found not in (1, expected):
        message = (
            f"input `{load.input.name}` has {found} entries along `{which.value}`, "
            f"expected {expected} ({size.value}) or 1"
        )
        which_one = "batch" if which is Ix.BATCH else "head"
        help = f"give one for each {which_one} of the call, or one for all"
        if len(shape) == 2 and expected in shape:
            help = f"its dimensions stand the other way around: pass `{load.input.name}.T`"
        raise BindError("M416", message, load.span, help)


def possible_dangers(expr: Expr, shapes: Mapping[str, Sides]) -> tuple[Danger, ...]:
    """Return what may go wrong in a row expression in some call.

    Args:
        expr: the row expression.
        shapes: of the bound inputs; offsets and positions, which have none here, are always read
            inside.

    """
    flat = {name: shape for name, sides in shapes.items() for _, shape in sides[:1]}
    if any(len(sides) > 1 for sides in shapes.values()):
        flat |= {
            side_name(name, side): shape
            for name, sides in shapes.items()
            for side, (_, shape) in zip("qk", sides, strict=False)
        }
    return tuple(dict.fromkeys(_dangers(expr, flat, ())))


def open_dangers(
    dangers: tuple[Danger, ...], sizes: Mapping[Sz, int], reached: Expr | None
) -> tuple[Danger, ...]:
    """Return what may go wrong in a call and is not ruled out by sizes alone.

    Args:
        dangers: what may go wrong in some call.
        sizes: of the call.
        reached: where the expression matters, as far as it reads no input; None: everywhere.

    """
    if not dangers:
        return ()
    domain, call = Domain(sizes, {}, torch.device("cpu")), whole_call(sizes, {})

    def is_ruled_out(danger: Danger) -> bool:
        if call.truth(danger.wrong).never is True:
            return True
        return any_true(_question(danger, reached), domain) is None

    return tuple(one for one in dangers if not (one.by_sizes and is_ruled_out(one)))


def check_reads(
    dangers: tuple[Danger, ...],
    domain: Domain,
    numbers: Mapping[str, int],
    reached: Expr | None = None,
) -> None:
    """Refuse a read outside an input or a division by zero where it is reached.

    Args:
        dangers: what the shapes left open.
        domain: the tensors and sizes.
        numbers: offsets that are known as numbers.
        reached: where the expression matters; the mask, for a score.

    Raises:
        BindError: it names the input, the subscript, and by how much it leaves.

    """
    if not dangers:
        return
    call = whole_call(domain.sizes, {name: (n, n) for name, n in numbers.items()})
    for danger in dangers:
        if call.truth(danger.wrong).never is True:
            continue
        guards = danger.guards if reached is None else (reached, *danger.guards)
        question = And((*guards, danger.wrong)) if guards else danger.wrong
        result = any_true(question, domain)
        if result is not None:
            raise _error(danger, question, result, domain)


def _question(danger: Danger, reached: Expr | None) -> Expr:
    """Return where a term is reached and wrong, by those guards that read no input."""
    guards = danger.guards if reached is None else (reached, *danger.guards)
    known = tuple(guard for guard in guards if not inputs(guard))
    return And((*known, danger.wrong)) if known else danger.wrong


def _dangers(
    expr: Expr,
    shapes: Mapping[str, tuple[int, ...]],
    guards: tuple[Expr, ...],
) -> Iterator[Danger]:
    """Yield what may go wrong in a row expression, with what guards it."""
    guarded: list[tuple[Expr, tuple[Expr, ...]]]
    match expr:
        case And(args):
            guarded = [(arg, args[:before]) for before, arg in enumerate(args)]
        case Or(args):
            denied = tuple(Not(arg) for arg in args)
            guarded = [(arg, denied[:before]) for before, arg in enumerate(args)]
        case Where(cond, then, other):
            guarded = [(cond, ()), (then, (cond,)), (other, (Not(cond),))]
        case _:
            guarded = [(child, ()) for child in children(expr)]
    for wrong, dim in _wrongs(expr, shapes):
        yield Danger(expr, dim, wrong, guards, by_sizes=not inputs(wrong))
    for child, more in guarded:
        yield from _dangers(child, shapes, (*guards, *more))


def _wrongs(expr: Expr, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Expr, int]]:
    """Yield where a term itself is wrong, and which of its subscripts is."""
    match expr:
        case Load(source, indices) if source.name in shapes:
            for dim, (index, size) in enumerate(zip(indices, shapes[source.name], strict=True)):
                if not (isinstance(index, IntConst) and 0 <= index.value < size):
                    yield _outside(index, size), dim
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor) if expr.type is Type.INT:
            if not (isinstance(divisor, IntConst) and divisor.value):
                yield Compare(CompareOp.EQ, divisor, IntConst(0)), 0


def _outside(index: Expr, size: int) -> Expr:
    low = Compare(CompareOp.LT, index, IntConst(0))
    high = Compare(CompareOp.LE, IntConst(size), index)
    return high if isinstance(index, Index) else Or((low, high))  # a row is at least 0


def _error(danger: Danger, question: Expr, found: Point, domain: Domain) -> BindError:
    load = danger.term
    if not isinstance(load, Load):
        message = f"`{quoted(load)}` divides by zero for these inputs"
        return BindError("M418", message, load.span, "guard it: `where(n > 0, q // n, 0)`")
    name, index = load.input.name.partition("@")[0], load.indices[danger.dim]
    size = domain.tensors[load.input.name].shape[danger.dim]
    low, high = _extremes(index, question, found, domain)
    reads = f"`{quoted(load, index)}` reads"
    if high >= size:
        short = f"{high - size + 1} too few"
        message = f"input `{name}` has {size} entries where {reads} up to {high}: {short}"
        help = "give one entry for each value of the subscript, or guard it with `where`"
    else:
        where = _first_at(question, found)
        message = f"input `{name}` starts at entry 0, and {reads} down to {low}{where}"
        help = "guard it by a test on its left (`q >= 0 & ...`), or shift the subscript"
    return BindError("M417", message, load.span, help)


def _first_at(question: Expr, found: Point) -> str:
    """Return where a question is true, by the rows that it depends on."""
    rows = {"batch": found.batch, "head": found.head, "query": found.q_idx, "key": found.kv_idx}
    named = zip(ROW_INDICES, rows.items(), strict=True)
    deps = question.deps
    listed = ", ".join(f"{what} {row}" for which, (what, row) in named if which.dim in deps)
    return f", first at {listed}" if listed else ""


def _extremes(index: Expr, question: Expr, found: Point, domain: Domain) -> tuple[int, int]:
    """Return the smallest and the largest bad subscript; of too many, only that at ``found``."""
    at = everywhere(domain)
    if prod(domain.extent(which) for which in ROW_INDICES if which.dim in question.deps) > FEW:
        point = (found.batch, found.head, found.q_idx, found.kv_idx)
        rows = zip(ROW_INDICES, point, strict=True)
        at = At({which: at.indices[which].flatten()[row].view(1, 1, 1, 1) for which, row in rows})
    wrong = vectorize(question, at, domain)
    values = vectorize(index, at, domain).expand_as(wrong)[wrong]
    return int(values.min()), int(values.max())
