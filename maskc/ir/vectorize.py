"""The meaning of a row program on tensors: many points at once, each term as small as it can be.

A term keeps only the dimensions it depends on: with index tensors of shapes ``[B, 1, 1, 1]`` to
``[1, 1, 1, K]`` a term of q alone is ``[1, 1, Q, 1]``, and nothing is expanded before it meets
something that depends on more. Constants stay Python numbers, so that they never widen a dtype.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from typing import Any, NamedTuple, assert_never

import torch
from torch import Tensor

from maskc.errors import LoweringError
from maskc.ir.domain import ROW_INDICES as ROW_INDICES
from maskc.ir.domain import Domain as Domain
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import (
    And,
    Arith,
    BoolConst,
    Call,
    Compare,
    Coord,
    Expr,
    FloatConst,
    Index,
    IntConst,
    Load,
    Not,
    Or,
    Size,
    TopK,
    Value,
    Where,
)
from maskc.ir.operators import ArithOp, Fn, Gives
from maskc.ir.types import Given, Ix, Type
from maskc.limits import MAX_ROUNDED, held
from maskc.source import Span

Operand = Any
"""A tensor, or a Python number for a constant."""

MOST_PAIRS = 2**36
"""A mask of more elements takes more than 64 GiB, and its scores four times that."""


class Window(NamedTuple):
    """A piece of the attention matrix: runs of batches, heads and query rows, and of keys."""

    batch: range
    heads: range
    rows: range
    keys: tuple[range, ...]

    @property
    def runs(self) -> tuple[tuple[range, ...], ...]:
        """The runs of each row index, in the order of ``ROW_INDICES``."""
        return (self.batch,), (self.heads,), (self.rows,), self.keys


class Run(NamedTuple):
    """Rows side by side; as a ``range``, but in a trace its ends may be symbols."""

    start: int
    stop: int


Runs = tuple[tuple[Run, ...], ...]
"""Those of each row index, in the order of ``ROW_INDICES``."""


@dataclass(frozen=True, slots=True)
class At:
    """The points to evaluate at: an index tensor for each row index, of shapes that broadcast.

    Points of runs lie along the dimensions of the attention matrix: then an input subscripted by
    rows alone is viewed instead of gathered.
    """

    indices: Mapping[Ix, Tensor]
    runs: Runs | None = None


def within(window: Window, device: torch.device) -> At:
    """Return all points of a window, ``[B, H, Q, K]``."""
    return _along(
        tuple(tuple(Run(run.start, run.stop) for run in runs) for runs in window.runs), device
    )


def everywhere(domain: Domain) -> At:
    """Return all points of the attention matrix ``[B, H, Q, K]``."""
    return _along(tuple((Run(0, domain.extent(which)),) for which in ROW_INDICES), domain.device)


def _along(every: Runs, device: torch.device) -> At:
    indices: dict[Ix, Tensor] = {}
    for dim, (which, runs) in enumerate(zip(ROW_INDICES, every, strict=True)):
        shape = [1, 1, 1, 1]
        shape[dim] = -1
        rows = [torch.arange(run.start, run.stop, device=device) for run in runs]
        indices[which] = (rows[0] if len(rows) == 1 else torch.cat(rows)).view(shape)
    return At(indices, every)


def vectorize(
    expr: Expr,
    at: At,
    domain: Domain,
    given: Mapping[Given, Tensor] | None = None,
    counted: Tensor | None = None,
) -> Tensor:
    """Return the value of a row program's expression at the points ``at``.

    The result has the broadcast shape of what it depends on. Subscripts are kept inside their
    inputs, whatever the program says: a read that could leave one is the binder's to refuse.

    Args:
        expr: the row expression.
        at: the points.
        domain: tensors, sizes and device.
        given: the running score, the output and the log-sum-exp, where they are read.
        counted: the points that give what they read a gradient, all of them if None. Elsewhere
            the slope may be infinite, and is never multiplied by the 0 that comes back.

    """
    value = _Evaluation(at, domain, given or {}, counted).value(expr)
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, device=domain.device)


def dense(
    expr: Expr,
    domain: Domain,
    given: Mapping[Given, Tensor] | None = None,
    counted: Tensor | None = None,
    window: Window | None = None,
) -> Tensor:
    """Return an expression on all pairs ``[B, H, Q, K]``, 1 where it does not depend.

    The arguments are those of ``vectorize``; the pairs are those of ``window``, all of them if it
    is None.
    """
    at = everywhere(domain) if window is None else within(window, domain.device)
    if not in_trace():
        sizes = [at.indices[which].numel() for which in ROW_INDICES if which.dim in expr.deps]
        check_pairs(prod(sizes), expr.span)
    result = vectorize(expr, at, domain, given, counted)
    return result.reshape((1,) * (4 - result.dim()) + result.shape)


def check_pairs(count: int, span: Span | None = None) -> None:
    """Refuse a tensor over all pairs that no device holds.

    Args:
        count: of its elements.
        span: of what it is for.

    Raises:
        LoweringError: it tells what to do instead.

    """
    if count > MOST_PAIRS:
        message = f"this takes a tensor over all pairs, {count} elements"
        help = "run it on flex, which keeps tiles alone, or split the sequence"
        raise LoweringError("M519", message, span, help)


@dataclass(slots=True)
class _Evaluation:
    at: At
    domain: Domain
    given: Mapping[Given, Tensor]
    counted: Tensor | None = None
    memo: dict[Expr, Operand] = field(default_factory=dict)

    def value(self, expr: Expr) -> Operand:
        if expr not in self.memo:
            self.memo[expr] = self._value(expr)
        return self.memo[expr]

    def _value(self, expr: Expr) -> Operand:
        match expr:
            case BoolConst(constant) | IntConst(constant) | FloatConst(constant):
                return constant
            case Index(which):
                return self.at.indices[which]
            case Size(which):
                return self.domain.sizes[which]
            case Value(which):
                return self._read(self.given[which])
            case Load():
                return widened(self._read(self._load(expr)))
            case Arith(op, left, right):
                return arithmetic(op, self.value(left), self.value(right), expr.type)
            case Call(fn, args):
                return function(fn, [self.value(arg) for arg in args])
            case Compare(op, left, right):
                return op.value.tensor(self.value(left), self.value(right))
            case Not(arg):
                return _not(self.value(arg))
            case And(args):
                return reduce(operator.and_, [self.value(arg) for arg in args])
            case Or(args):
                return reduce(operator.or_, [self.value(arg) for arg in args])
            case Where(cond, then, other):
                return choose(self.value(cond), self.value(then), self.value(other))
            case Coord() | TopK():
                raise AssertionError(f"a row program has no {type(expr).__name__}")
            case _:
                assert_never(expr)

    def _read(self, x: Tensor) -> Tensor:
        if self.counted is None or not x.requires_grad:
            return x
        return torch.where(self.counted, x, x.detach())

    def _load(self, expr: Load) -> Tensor:
        tensor = self.domain.tensors[expr.input.name]
        runs = self.at.runs
        if runs is not None and (view := _view(tensor, expr.indices, runs)) is not None:
            return view
        if not expr.indices:
            return tensor
        places = [
            inside(self.value(index), size)
            for index, size in zip(expr.indices, tensor.shape, strict=True)
        ]
        return tensor[tuple(places)]


def widened(x: Tensor) -> Tensor:
    """Return floats in 32 bits at least: beside ints torch computes in the floats' own dtype.

    A position above 256 is rounded in bfloat16, one above 2048 in float16.
    """
    if not x.is_floating_point():
        return x
    return x.to(torch.promote_types(x.dtype, torch.float32))


def arithmetic(op: ArithOp, left: Operand, right: Operand, kind: Type) -> Operand:
    """Return ``left op right`` on tensors and numbers; an int divisor of 0 is taken as 1."""
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        result = op.value.scalar(left, right)
        return held(float(result)) if kind is Type.FLOAT else result
    match op:
        case ArithOp.FLOORDIV | ArithOp.MOD if kind is Type.INT:
            return op.value.tensor(left, _nonzero(right))
        case ArithOp.FLOORDIV:
            return torch.floor(left / right)
        case ArithOp.POW if kind is Type.FLOAT:
            return to_float(left) ** to_float(right)
        case _:
            return op.value.tensor(left, right)


def function(fn: Fn, args: Sequence[Operand]) -> Operand:
    """Return ``fn(*args)`` on tensors and numbers."""
    if not any(isinstance(arg, Tensor) for arg in args):
        result = fn.value.scalar(*args)
        return held(result) if isinstance(result, float) else result
    first = args[0]
    match fn:
        case Fn.NEG:
            return -first
        case Fn.MIN:
            return reduce(_least, args)
        case Fn.MAX:
            return reduce(_greatest, args)
        case Fn.CLAMP:
            return _least(_greatest(first, args[1]), args[2])
        case Fn.FLOAT:
            return to_float(first)
        case Fn.BOOL:
            return first != 0
        case _ if fn.value.gives is Gives.ROUNDED:
            is_float = first.is_floating_point()
            return to_int(_on_tensors(fn)(first)) if is_float else first.to(torch.int64)
        case _ if fn.value.gives is Gives.FLOAT:
            return _on_tensors(fn)(*map(to_float, args))
        case _:
            return _on_tensors(fn)(*args)


def _compiled(fn: Fn) -> Callable[..., Tensor]:
    """Return the meaning that the table has for tensors, as a function."""
    text = fn.value.tensor
    assert text is not None, f"`{fn.value.name}` has no meaning on tensors"
    names = [f"x{place}" for place in range(fn.value.arity[0])]
    applied: Callable[..., Tensor] = eval(
        f"lambda {', '.join(names)}: {text.format(*names)}", {"torch": torch}
    )
    return applied


_COMPILED = {fn: _compiled(fn) for fn in Fn if fn.value.tensor is not None}
"""Made when the module is loaded: within ``torch.compile`` no text can become code."""


def _on_tensors(fn: Fn) -> Callable[..., Tensor]:
    return _COMPILED.get(fn) or _compiled(fn)


def choose(cond: Operand, then: Operand, other: Operand) -> Operand:
    """Return ``then`` where ``cond`` holds, ``other`` elsewhere."""
    if isinstance(cond, bool):
        return then if cond else other
    return torch.where(cond, then, other)


def inside(index: Operand, size: int) -> Operand:
    """Clamp a subscript to a dimension of ``size``."""
    if isinstance(index, int):
        return min(max(index, 0), size - 1)
    return index.clamp(0, size - 1)


def to_float(x: Operand) -> Operand:
    """Return a number as a float, in torch's default dtype unless it is a float already."""
    if not isinstance(x, Tensor):
        return float(x)
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def to_int(x: Tensor) -> Tensor:
    """Return a float as an int, toward zero, saturating as ``scalars.rounded`` does."""
    largest = float(MAX_ROUNDED)
    return torch.nan_to_num(x, 0.0, largest, -largest).clamp(-largest, largest).to(torch.int64)


def _view(tensor: Tensor, indices: tuple[Expr, ...], every: Runs) -> Tensor | None:
    """Return an input that rows alone subscript as ``[B | 1, H | 1, Q | 1, K | 1]``.

    It is a view, but for keys that are several runs.
    """
    places: list[int] = []
    for index, size in zip(indices, tensor.shape, strict=True):
        match index:
            case Index(which) if ROW_INDICES.index(which) not in places:
                if size < max(run.stop for run in every[ROW_INDICES.index(which)]):
                    return None
                places.append(ROW_INDICES.index(which))
            case _:
                return None
    order = sorted(range(len(places)), key=lambda dim: places[dim])
    view = tensor.permute(order)
    for place, runs in enumerate(every):
        if place in places:
            cut = [view.narrow(place, run.start, run.stop - run.start) for run in runs]
            view = cut[0] if len(cut) == 1 else torch.cat(cut, place)
        else:
            view = view.unsqueeze(place)
    return view


def _not(x: Operand) -> Operand:
    return not x if isinstance(x, bool) else ~x


def _least(left: Operand, right: Operand) -> Operand:
    if isinstance(left, Tensor):
        return torch.clamp(left, max=right)
    return torch.clamp(right, max=left) if isinstance(right, Tensor) else min(left, right)


def _greatest(left: Operand, right: Operand) -> Operand:
    if isinstance(left, Tensor):
        return torch.clamp(left, min=right)
    return torch.clamp(right, min=left) if isinstance(right, Tensor) else max(left, right)


def _nonzero(divisor: Operand) -> Operand:
    if isinstance(divisor, Tensor):
        return torch.where(divisor == 0, 1, divisor)
    return divisor or 1
