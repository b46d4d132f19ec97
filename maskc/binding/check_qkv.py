"""The tensors of a call, q, k and v, against the sizes that were bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from maskc.binding.call import CallSpec
from maskc.binding.plain import FLOATS, check_plain
from maskc.errors import BindError
from maskc.ir.in_trace import in_trace
from maskc.ir.types import Sz

LAYOUT = "[batch, heads, tokens, width]"


def check_tensors(**tensors: Any) -> None:
    """Refuse what is no tensor of floats with four dimensions.

    Raises:
        BindError: it names the tensor and tells what was found.

    """
    for name, x in tensors.items():
        if not isinstance(x, torch.Tensor):
            message = f"{name} is a tensor {LAYOUT}, found {_described(x)}"
            held = isinstance(x, list | tuple) or hasattr(x, "__array__")
            help = f"convert it: `torch.as_tensor({name})`" if held else "pass a tensor of floats"
            raise BindError("M422", message, help=help)
        check_plain(name, x, "M422")
        if x.dim() != 4:
            message = f"{name} has shape {list(x.shape)}, expected 4 dimensions"
            raise BindError("M422", message, help=LAYOUT)
        if not x.is_floating_point():
            message = f"{name} holds {x.dtype}, expected floats"
            raise BindError("M422", message, help=f"convert it: `{name}.float()`")
        if not x.shape[-1]:
            message = f"{name} has shape {list(x.shape)}, expected a width of at least 1"
            raise BindError("M422", message, help=LAYOUT)


def check_qkv(spec: CallSpec, q: Tensor, k: Tensor, *values: Tensor) -> None:
    """Refuse tensors of other sizes than were bound, on another device, or of several dtypes.

    Raises:
        BindError: it names the tensor, what was expected and what was found.

    """
    sizes = spec.sizes
    if not in_trace() and _fit(spec, (q, k, *values)):
        return
    batch, queries, keys = sizes[Sz.BATCH_SIZE], sizes[Sz.Q_LEN], sizes[Sz.KV_LEN]
    _check("q", q, (batch, sizes[Sz.NUM_HEADS], queries), spec.device)
    _check("k", k, (batch, sizes[Sz.NUM_KV_HEADS], keys), spec.device)
    if q.shape[-1] != k.shape[-1]:
        message = f"q has width {q.shape[-1]} and k {k.shape[-1]}, expected the same"
        raise BindError("M422", message, help="v alone may be of another width")
    for v in values:
        _check("v", v, (batch, sizes[Sz.NUM_KV_HEADS], keys), spec.device)
    _check_dtypes((q, k, *values))


def check_out(spec: CallSpec, out: Any, lse: Any) -> None:
    """Refuse what is no output of a kernel for the sizes that were bound, nor its log-sum-exp.

    Raises:
        BindError: it names the tensor, what was expected and what was found.

    """
    sizes = spec.sizes
    rows = sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_HEADS], sizes[Sz.Q_LEN]
    _check("out", out, rows, spec.device)
    if lse is None:
        return
    if not isinstance(lse, Tensor) or tuple(lse.shape) != rows:
        message = f"lse has shape {list(rows)}, found {_described(lse)}"
        raise BindError("M422", message, help="[batch, heads, queries]; natural logarithms")
    _check("lse", lse.unsqueeze(-1), rows, spec.device)


def _fit(spec: CallSpec, tensors: Sequence[Any]) -> bool:
    """Tell whether plain tensors fit, without telling what does not: that takes longer."""
    if any(type(x) is not Tensor or x.is_nested or x.dim() != 4 for x in tensors):
        return False
    q, *others = tensors
    sizes = spec.sizes
    batch, heads, keys = sizes[Sz.BATCH_SIZE], sizes[Sz.NUM_KV_HEADS], sizes[Sz.KV_LEN]
    if q.dtype not in FLOATS or q.layout is not torch.strided or q.device != spec.device:
        return False
    kind = q.dtype, q.layout, q.device
    width = q.shape[-1]
    return (
        q.shape == (batch, sizes[Sz.NUM_HEADS], sizes[Sz.Q_LEN], width)
        and width == others[0].shape[-1] > 0
        and all((x.dtype, x.layout, x.device) == kind for x in others)
        and all(x.shape[:3] == (batch, heads, keys) and x.shape[3] for x in others)
    )


def _check_dtypes(tensors: Sequence[Tensor]) -> None:
    if len({x.dtype for x in tensors}) > 1:
        listed = ", ".join(f"{name} {x.dtype}" for name, x in zip("qkv", tensors, strict=False))
        message = f"q, k and v have one dtype, found {listed}"
        raise BindError("M434", message, help="convert them to one")


def _check(name: str, x: Tensor, expected: tuple[int, int, int], device: torch.device) -> None:
    check_tensors(**{name: x})
    if tuple(x.shape[:3]) != expected:
        shown = ", ".join(map(str, expected))
        message = f"{name} has shape {list(x.shape)}, expected [{shown}, width]"
        help = "bind the sizes of the call, or call the program itself"
        raise BindError("M422", message, help=help)
    if x.device != device:
        message = f"{name} is on {x.device}, expected {device}"
        help = f"move it: `{name}.to('{device}')`, or bind for its device"
        raise BindError("M409", message, help=help)


def _described(value: object) -> str:
    """Return the type of a value, and its shape where it has one."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    shape = getattr(value, "shape", None)
    return name if shape is None else f"{name} {list(shape)}"
