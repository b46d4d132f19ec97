"""What the functions that make inputs are given: tensors, and counts of things."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from maskc.binding.plain import check_plain
from maskc.errors import BindError
from maskc.limits import MAX_INT


def tensor_of(name: str, value: Any, dims: int | None = None, ints: bool = True) -> Tensor:
    """Return a tensor, or what makes one, as a dense tensor.

    Args:
        name: of the argument.
        value: what was given for it.
        dims: how many dimensions it has; at least one if None.
        ints: whether it holds ints or booleans.

    Raises:
        BindError: it is something else.

    """
    try:
        result = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise _error(name, "a tensor", type(value).__name__) from None
    check_plain(name, result, "M430")
    if ints and (result.is_floating_point() or result.is_complex()) and result.numel():
        raise _error(name, "a tensor of ints", f"{result.dtype}")
    if result.is_meta:
        raise _error(name, "a tensor with data", "one on the device meta")
    if result.dim() != dims if dims is not None else result.dim() == 0:
        expected = "at least 1 dimension" if dims is None else f"{dims} dimensions"
        raise _error(name, f"a tensor of {expected}", f"shape {list(result.shape)}")
    return result


def count_of(name: str, value: Any, least: int = 0) -> int:
    """Return a number of things.

    Raises:
        BindError: it is no int of at least ``least``, or larger than any index.

    """
    try:
        result = index(value)
    except (TypeError, RuntimeError):
        result = least - 1
    if isinstance(value, bool) or not least <= result <= MAX_INT:
        raise _error(name, f"an int of at least {least}", f"{value!r:.80}")
    return result


def counts_of(name: str, value: Sequence[int], least: int = 0) -> tuple[int, ...]:
    """Return several numbers of things.

    Raises:
        BindError: it is no sequence of ints of at least ``least``.

    """
    try:
        parts = tuple(value)
    except TypeError:
        raise _error(name, "a sequence of ints", type(value).__name__) from None
    return tuple(count_of(f"{name}[{place}]", part, least) for place, part in enumerate(parts))


def _error(name: str, expected: str, found: str) -> BindError:
    return BindError("M430", f"`{name}` is {expected}, found {found}")
