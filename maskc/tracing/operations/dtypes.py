"""What torch's dtypes are in the language, and which of them compute otherwise than it does."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from maskc.ir.types import Type
from maskc.limits import held
from maskc.tracing.callables.refusals import refusal

WRAPS = frozenset({torch.int8, torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.uint64})
ROUNDS = frozenset({torch.float16, torch.bfloat16, torch.float64})
"""Floats in which a comparison can come out otherwise than in float32."""

HALF = frozenset({torch.float16, torch.bfloat16})
"""Floats that hold few ints, and in which torch compares what stands beside one of them."""

EXACT = frozenset({"where", "masked_fill", "minimum", "maximum", "clamp", "clamp_min", "clamp_max"})
"""Operations that give back one of their operands, in any dtype."""

FITS = EXACT | {"bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__"}
"""Operations that give no int of more bits than their operands have."""


def type_of(dtype: torch.dtype) -> Type:
    """Return the language's type of a dtype."""
    if dtype is torch.bool:
        return Type.BOOL
    if dtype.is_complex:
        raise refusal("M806", "complex numbers have no translation", "compute with the real part")
    return Type.FLOAT if dtype.is_floating_point else Type.INT


def check_dtype(name: str, result: torch.dtype, operands: Iterable[Any], is_mask: bool) -> None:
    """Refuse arithmetic that wraps around, or that decides by what a half precision rounds."""
    parts = list(operands)
    if name not in FITS and result in WRAPS:
        message = f"`{name}` computes in {_name(result)}, which wraps around"
        raise refusal("M806", message, "convert the tensor before: `.long()`")
    dtypes = {part.dtype for part in parts if isinstance(part, Tensor)}
    if name not in EXACT and is_mask and result in ROUNDS and dtypes != {torch.float64}:
        message = f"`{name}` computes in {_name(result)}, where a mask computes in float32"
        raise refusal("M806", message, "convert the tensor before: `.float()`")
    if is_mask or result is torch.bool:
        _check_rounding(name, common_dtype(result, parts), parts)
    _check_scalars(name, dtypes, parts)


def common_dtype(result: torch.dtype, operands: Iterable[Any]) -> torch.dtype:
    """Return the dtype that an operation computes in: a comparison, in that of its operands."""
    if result is not torch.bool:
        return result
    common: Any = None
    for part in operands:
        own = _one(part.dtype) if isinstance(part, Tensor) else part
        if isinstance(own, Tensor | bool | int | float):
            common = own if common is None else _one(torch.result_type(common, own))
    return common.dtype if isinstance(common, Tensor) else result


def _check_rounding(name: str, common: torch.dtype, parts: list[Any]) -> None:
    """Refuse operands that torch rounds to a half precision before it decides something."""
    tensors = {part.dtype for part in parts if isinstance(part, Tensor)}
    halves = {common, *tensors} & HALF if name in EXACT else {common} & HALF
    for half in halves:
        other = next((one for one in tensors if one not in (half, torch.bool)), None)
        if other is not None:
            message = f"`{name}` of {_name(half)} and {_name(other)} rounds to {_name(half)}"
            raise refusal("M806", message, "convert the tensor before: `.float()`")
        for part in parts:
            if type(part) in (int, float) and _is_rounded(float(part), half):
                message = f"`{name}` takes {part} beside {_name(half)}, which rounds it"
                raise refusal("M806", message, "convert the tensor before: `.float()`")


def _is_rounded(value: float, dtype: torch.dtype) -> bool:
    return value == value and torch.tensor(value, dtype=torch.float64).to(dtype).item() != value


@lru_cache
def _one(dtype: torch.dtype) -> Tensor:
    return torch.ones((), dtype=dtype)


def check_conversion(source: torch.dtype, target: torch.dtype, is_mask: bool) -> None:
    """Refuse a conversion that wraps around or rounds."""
    if target in WRAPS and source not in (torch.bool, target):
        help = "leave the conversion out, ints have 64 bits"
        raise refusal("M806", f"a conversion to {_name(target)} wraps around", help)
    if is_mask and target in ROUNDS and source not in (torch.bool, target):
        message = f"a conversion to {_name(target)} in a mask, which computes in float32"
        raise refusal("M806", message, "convert to `torch.float32`, or compare ints")


def short_float(value: float) -> float:
    """Return the float of the fewest digits that is ``value`` in float32."""
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return held(short)
    return value


def _check_scalars(name: str, dtypes: set[torch.dtype], parts: list[Any]) -> None:
    """Refuse a Python int that torch would wrap into a small dtype of the tensors beside it."""
    if not dtypes or not all(type_of(dtype) is Type.INT for dtype in dtypes):
        return
    common = dtypes.pop()
    for dtype in dtypes:
        common = torch.promote_types(common, dtype)
    limits = torch.iinfo(common)
    for part in parts:
        if type(part) is int and not limits.min <= part <= limits.max:
            message = f"`{name}` takes {part} beside {_name(common)}, where it wraps around"
            raise refusal("M806", message, "convert the tensor before: `.long()`")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
