"""Bounds of float arithmetic: the operation itself at the ends, widened by its rounding.

The ends go through the same operation, in the same dtype, as the values do. Rounding is
monotone, but kernels may fuse or use other approximations, so each result is widened by a few
units in the last place. Where an end is infinite or NaN nothing is claimed: ``inf - inf``,
``0 * inf`` and the like hide in such intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskc.analysis.intervals.domain import ANY_FLOAT, Bounds, Operand
from maskc.ir.types import ArithOp, Fn

if TYPE_CHECKING:
    from torch import Tensor

ULPS = 4
"""How many units in the last place a kernel's result may differ from ours."""

INCREASING = {
    Fn.EXP: "exp",
    Fn.LOG: "log",
    Fn.LOG2: "log2",
    Fn.SQRT: "sqrt",
    Fn.TANH: "tanh",
    Fn.SIGMOID: "sigmoid",
}


def arithmetic(op: ArithOp, a: Bounds, b: Bounds) -> Bounds:
    """Return the bounds of ``a op b`` of floats; an int operand takes part as it is."""
    import torch

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


def function(fn: Fn, a: Bounds) -> Bounds:
    """Return the bounds of a function of one float."""
    import torch

    lo, hi = _tensors(a)
    match fn:
        case Fn.NEG:
            return Bounds(-hi, -lo)
        case Fn.ABS:
            return Bounds(torch.maximum(torch.maximum(lo, -hi), lo * 0), torch.maximum(hi, -lo))
        case Fn.RSQRT:
            return widened(torch.rsqrt(hi), torch.rsqrt(lo))
        case Fn.SIN | Fn.COS:
            nothing = (_float(lo) + _float(hi)) * 0
            return widened(nothing - 1, nothing + 1)
        case _:
            apply = getattr(torch, INCREASING[fn])
            return widened(apply(_float(lo)), apply(_float(hi)))


def widened(lo: Tensor, hi: Tensor) -> Bounds:
    """Return the bounds with room for rounding, and unknown where an end is not finite."""
    import torch

    eps = torch.finfo(torch.float32).eps
    if lo.dtype in (torch.float16, torch.bfloat16):
        eps = torch.finfo(lo.dtype).eps
    room = (lo.abs() + hi.abs()) * (ULPS * eps) + torch.finfo(lo.dtype).tiny
    nothing = room * 0
    return Bounds(lo - room + nothing, hi + room + nothing)


def _remainder(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Bounds:
    """``x % y`` lies between 0 and y; of infinite operands it is NaN."""
    import torch

    nothing = (_float(x[0]) + _float(x[1]) + y[0] + y[1]) * 0
    ends = widened(torch.clamp(y[0], max=0) + nothing, torch.clamp(y[1], min=0) + nothing)
    return _where((y[0] > 0) | (y[1] < 0), ends)


def _power(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Bounds:
    """``x ** y`` is monotone in both for a positive base; else only ``x ** 2`` is claimed."""
    import torch

    base = _float(x[0]), _float(x[1])
    positive = _where(base[0] > 0, _corners(torch.pow, base, (_float(y[0]), _float(y[1]))))
    size = function(Fn.ABS, Bounds(*base))
    square = widened(size.lo**2, size.hi**2)
    squared = (y[0] == 2) & (y[1] == 2)
    return Bounds(
        torch.where(squared, square.lo, positive.lo), torch.where(squared, square.hi, positive.hi)
    )


def _corners(
    op: Callable[[Any, Any], Tensor], x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]
) -> Bounds:
    import torch

    ends = [op(a, b) for a in x for b in y]
    lo = torch.minimum(torch.minimum(ends[0], ends[1]), torch.minimum(ends[2], ends[3]))
    hi = torch.maximum(torch.maximum(ends[0], ends[1]), torch.maximum(ends[2], ends[3]))
    finite = x[0].isfinite() & x[1].isfinite() & y[0].isfinite() & y[1].isfinite()
    return _where(finite, widened(lo, hi))


def _where(known: Tensor, bounds: Bounds) -> Bounds:
    import torch

    return Bounds(
        torch.where(known, bounds.lo, ANY_FLOAT.lo), torch.where(known, bounds.hi, ANY_FLOAT.hi)
    )


def _tensors(a: Bounds) -> tuple[Tensor, Tensor]:
    return _tensor(a.lo), _tensor(a.hi)


def _tensor(x: Operand) -> Tensor:
    import torch

    if isinstance(x, torch.Tensor):
        return x
    return torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else torch.int64)


def _float(x: Tensor) -> Tensor:
    import torch

    return x if x.is_floating_point() else x.to(torch.get_default_dtype())
