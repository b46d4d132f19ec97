"""An input from a file: ``.npy``, ``.json`` or ``.pt``. Nothing in a file is run.

Codes: M609 a file that holds no array.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from maskc.errors import LoadError
from maskc.files.read import read_bytes, reason
from maskc.view.scene import Array

LARGEST = 2**32
"""Bytes of a table."""


def read_input(path: Path) -> Array:
    """Return the array of a file; a list of numbers, of lists and so on in JSON.

    Raises:
        LoadError: the file cannot be read, or holds something else.

    """
    readers = {".npy": _npy, ".json": _json, ".pt": _pt}
    reader = readers.get(path.suffix)
    if reader is None:
        message = f"`{path}` is no table of numbers by its name"
        raise LoadError("M609", message, help=f"save it as one of {', '.join(readers)}")
    try:
        array = reader(read_bytes(path, LARGEST))
    except LoadError:
        raise
    except Exception as error:
        message = f"`{path}` holds no table of numbers: {_first_line(error)}"
        raise LoadError("M609", message, help=HELP[path.suffix]) from None
    if array.dtype.kind not in "biuf":
        message = f"`{path}` holds no table of numbers: found {array.dtype}"
        raise LoadError("M609", message, help=HELP[path.suffix])
    return array


HELP = {
    ".npy": "save it with `numpy.save`",
    ".json": "write a list of numbers, or of such lists of one length",
    ".pt": "save one tensor with `torch.save`",
}


def _npy(data: bytes) -> Array:
    found: Array = np.load(BytesIO(data), allow_pickle=False)
    return found


def _json(data: bytes) -> Array:
    return np.asarray(json.loads(data))


def _pt(data: bytes) -> Array:
    import torch

    found: Any = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"expected a tensor, found {type(found).__name__}")
    plain = found.detach().float() if found.dtype is torch.bfloat16 else found.detach()
    result: Array = plain.numpy()
    return result


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError | ValueError):
        return reason(error).partition("\n")[0]
    return str(error).partition("\n")[0] or type(error).__name__
