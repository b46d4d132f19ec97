"""Tensors that no kernel here reads: nested, sparse and quantised ones, and floats of 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor

from maskc.errors import BindError
from maskc.source import Span

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_plain(name: str, x: Tensor, code: str, span: Span | None = None) -> None:
    """Refuse a tensor that is not dense, or whose floats torch cannot compute with.

    Args:
        name: what to call it.
        x: the tensor.
        code: of the error.
        span: where it is read.

    Raises:
        BindError: it tells what was found, and how to convert it.

    """
    if x.is_nested:
        raise _error(name, "a nested tensor", f"{name}.to_padded_tensor(0.0)", code, span)
    if x.is_quantized:
        raise _error(name, f"{x.dtype}", f"{name}.dequantize()", code, span)
    if x.layout is not torch.strided:
        raise _error(name, f"a layout of {x.layout}", f"{name}.to_dense()", code, span)
    if x.is_floating_point() and x.dtype not in FLOATS:
        raise _error(name, f"{x.dtype}", f"{name}.bfloat16()", code, span)


def _error(name: str, found: str, fix: str, code: str, span: Span | None) -> BindError:
    return BindError(code, f"{name} is a dense tensor, found {found}", span, f"convert it: `{fix}`")
