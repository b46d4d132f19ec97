"""Inputs as text in a page: their elements in the fewest bytes that hold them, in base64."""

from __future__ import annotations

import base64
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from maskc.errors import BindError
from maskc.view.explorer.javascript import EXACT

_KINDS: dict[str, np.dtype[Any]] = {
    "Uint8Array": np.dtype("<u1"),
    "Int16Array": np.dtype("<i2"),
    "Int32Array": np.dtype("<i4"),
    "Float32Array": np.dtype("<f4"),
    "Float64Array": np.dtype("<f8"),
}
"""Arrays of JavaScript and how their elements are laid out."""


class Packed(TypedDict):
    """An input as ``unpacked`` of ``evaluate.js`` takes it."""

    name: str
    shape: list[int]
    kind: str
    data: str


def packed(name: str, array: NDArray[Any]) -> Packed:
    """Return an input as text.

    Raises:
        BindError: it holds an int of more than 53 bits, which JavaScript would round.

    """
    if array.dtype.kind in "iu" and array.size and int(np.abs(array).max()) >= EXACT:
        message = f"`{name}` holds an int of more than 53 bits, and so no page can compute with it"
        raise BindError("M522", message, help="draw a picture instead: `-o mask.png`")
    kind = next(kind for kind, dtype in _KINDS.items() if _holds(dtype, array))
    data = np.ascontiguousarray(array, _KINDS[kind])
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return {"name": name, "shape": list(array.shape), "kind": kind, "data": text}


def _holds(dtype: np.dtype[Any], array: NDArray[Any]) -> bool:
    """Tell whether a dtype holds every element exactly."""
    if dtype.kind == "f" or array.dtype.kind == "f":
        is_wide = dtype.kind == "f" and dtype.itemsize >= array.dtype.itemsize
        return dtype.itemsize == 8 or (is_wide and array.dtype.kind == "f")
    if not array.size:
        return True
    info = np.iinfo(dtype)
    return bool(info.min <= array.min() and array.max() <= info.max)
