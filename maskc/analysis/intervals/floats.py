"""Bounds of float arithmetic: the operation itself at the ends, widened by its rounding.

The ends go through the same operation, in the same dtype, as the values do. Rounding is
monotone, but kernels may fuse or use other approximations, so each result is widened by a few
units in the last place. Where an end is infinite or NaN nothing is claimed: ``inf - inf``,
``0 * inf`` and the like hide in such intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, assert_never

import torch
from torch import Tensor

from maskc.analysis.intervals.domain import ANY_FLOAT, Bounds, Operand
from maskc.ir import vectorize
from maskc.ir.operators import ArithOp, Even, Falls, Fn, Monotone, Rises, Within
from maskc.limits import MAX_ROUNDED

_NOTHING = torch.tensor(0.0)

ULPS = 4
"""How many units in the last place a kernel's result may differ from ours."""


def arithmetic(op: ArithOp, a: Bounds, b: Bounds) -> Bounds:
    """Return the bounds of ``a op b`` of floats; an int operand takes part as it is."""
    x, y = (_tensors(a), _tensors(b))
    match op:
        case ArithOp.ADD:
            return widened(x[0] + y[0], x[1] + y[1])
        case ArithOp.SUB:
            return widened(x[0] - y[1], x[1] - y[0])
        case ArithOp.MUL:
            return _corners(torch.mul, x, y)
        case ArithOp.DIV:
            return _where((y[0] > 0) | (y[1] < 0), _corners(torch.true_divide, x, y))
        case ArithOp.FLOORDIV:
            ratio = arithmetic(ArithOp.DIV, a, b)
            return Bounds(torch.floor(ratio.lo), torch.floor(ratio.hi))
        case ArithOp.MOD:
            return _remainder(x, y)
        case ArithOp.POW:
            return _power(x, y)


def function(fn: Fn, args: Sequence[Bounds]) -> Bounds:
    """Return the bounds of a function that gives a float."""
    match fn.value.shape:
        case None | Monotone():
            return ANY_FLOAT
        case Within(least, most):
            nothing = sum((_float(end) * 0 for arg in args for end in _tensors(arg)), _NOTHING)
            return widened(nothing + least, nothing + most)
        case Rises():
            ends = _applied(fn, [arg.lo for arg in args]), _applied(fn, [arg.hi for arg in args])
        case Falls():
            ends = _applied(fn, [arg.hi for arg in args]), _applied(fn, [arg.lo for arg in args])
        case Even():
            lo, hi = _tensors(args[0])
            nearest = torch.maximum(torch.maximum(lo, -hi), lo * 0)
            ends = _applied(fn, [nearest]), _applied(fn, [torch.maximum(hi, -lo)])
        case shape:
            assert_never(shape)
    bounds = widened(*ends) if fn.value.rounds else Bounds(*ends)
    return _where(_known(args), bounds)


def rounded(fn: Fn, arg: Bounds) -> Bounds:
    """Return the bounds of a float as an int, of one unknown the ends of what a rounding gives."""
    lo, hi = _tensors(arg)
    unknown = lo.isnan() | hi.isnan()
    if not isinstance(fn.value.shape, Rises):
        unknown = torch.ones_like(unknown)
    least = torch.where(unknown, -MAX_ROUNDED, _applied(fn, [_float(lo)]))
    return Bounds(least, torch.where(unknown, MAX_ROUNDED, _applied(fn, [_float(hi)])), MAX_ROUNDED)


def _known(args: Sequence[Bounds]) -> Tensor:
    """Return where no bound is NaN: a function may give a number for NaN, as ``sign`` does."""
    ends = [end for arg in args for end in _tensors(arg)]
    return ~reduce(torch.logical_or, [end.isnan() for end in ends])


def _applied(fn: Fn, ends: Sequence[Operand]) -> Tensor:
    return _tensor(vectorize.function(fn, list(map(_tensor, ends))))


def widened(lo: Tensor, hi: Tensor) -> Bounds:
    """Return the bounds with room for rounding, and unknown where an end is not finite."""
    eps = torch.finfo(torch.float32).eps
    if lo.dtype in (torch.float16, torch.bfloat16):
        eps = torch.finfo(lo.dtype).eps
    room = (lo.abs() + hi.abs()) * (ULPS * eps) + torch.finfo(lo.dtype).tiny
    nothing = room * 0
    return Bounds(lo - room + nothing, hi + room + nothing)


def _remainder(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Bounds:
    """``x % y`` lies between 0 and y; of infinite operands it is NaN."""
    nothing = (_float(x[0]) + _float(x[1]) + y[0] + y[1]) * 0
    ends = widened(torch.clamp(y[0], max=0) + nothing, torch.clamp(y[1], min=0) + nothing)
    return _where((y[0] > 0) | (y[1] < 0), ends)


def _power(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Bounds:
    """``x ** y`` is monotone in both for a positive base; else only ``x ** 2`` is claimed."""
    base = _float(x[0]), _float(x[1])
    positive = _where(base[0] > 0, _corners(torch.pow, base, (_float(y[0]), _float(y[1]))))
    size = function(Fn.ABS, [Bounds(*base)])
    square = widened(size.lo**2, size.hi**2)
    squared = (y[0] == 2) & (y[1] == 2)
    return Bounds(
        torch.where(squared, square.lo, positive.lo), torch.where(squared, square.hi, positive.hi)
    )


def _corners(
    op: Callable[[Any, Any], Tensor], x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]
) -> Bounds:
    ends = [op(a, b) for a in x for b in y]
    lo = torch.minimum(torch.minimum(ends[0], ends[1]), torch.minimum(ends[2], ends[3]))
    hi = torch.maximum(torch.maximum(ends[0], ends[1]), torch.maximum(ends[2], ends[3]))
    finite = x[0].isfinite() & x[1].isfinite() & y[0].isfinite() & y[1].isfinite()
    return _where(finite, widened(lo, hi))


def _where(known: Tensor, bounds: Bounds) -> Bounds:
    return Bounds(
        torch.where(known, bounds.lo, ANY_FLOAT.lo), torch.where(known, bounds.hi, ANY_FLOAT.hi)
    )


def _tensors(a: Bounds) -> tuple[Tensor, Tensor]:
    return _tensor(a.lo), _tensor(a.hi)


def _tensor(x: Operand) -> Tensor:
    if isinstance(x, torch.Tensor):
        return x
    return torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else torch.int64)


def _float(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())
