"""One pair of a bound call, as the evaluator takes it: its environment, and rows by position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from maskc.binding import inputs
from maskc.binding.call import CallSpec
from maskc.errors import BindError
from maskc.ir.evaluate import Env
from maskc.ir.nodes import Expr
from maskc.ir.rows import HEAD_OFFSET, K_POSITION, Q_POSITION, Position, side_name
from maskc.ir.types import Sz

NAMES = {"q": ("query", "q_idx", Sz.Q_LEN), "k": ("key", "kv_idx", Sz.KV_LEN)}
"""What a side is called, which argument takes a row of it, and its length."""


def env_of(spec: CallSpec, given: Mapping[str, Any], roots: tuple[Expr, ...]) -> Env:
    """Return what the evaluator needs for ``roots``; inputs that none of them reads are left out.

    Raises:
        BindError: an input that they read is missing or does not fit.

    """
    _, tensors = inputs.read(roots, given, spec)
    arrays: dict[str, Any] = {}
    for name in inputs.names_of(roots):
        sides = [side_name(name, side) for side in "qk"]
        arrays[name] = tensors[name] if name in tensors else tuple(tensors[one] for one in sides)
    offset = spec.tensors.get(HEAD_OFFSET.name)
    return Env(
        sizes=spec.sizes,
        inputs=arrays,
        q_position=positions(spec, "q"),
        k_position=positions(spec, "k"),
        head_offset=0 if offset is None else int(offset),
    )


def positions(spec: CallSpec, side: str) -> Callable[[int, int], int]:
    """Return the logical position of a row of a batch, on the side ``q`` or ``k``."""
    form = spec.q if side == "q" else spec.k
    table = spec.tensors.get((Q_POSITION if side == "q" else K_POSITION).name)
    if table is None:
        return lambda batch, row: row
    known: Any = table.tolist()
    match form:
        case Position.OFFSET:
            return lambda batch, row: row + known
        case Position.BATCH_OFFSET:
            return lambda batch, row: row + known[batch]
        case Position.TABLE:
            return lambda batch, row: known[row]
        case _:
            return lambda batch, row: known[batch][row]


def row_of(spec: CallSpec, side: str, position: Any, row: Any, batch: int) -> int:
    """Return the row that is asked for, by its logical position or by itself.

    Args:
        spec: the call.
        side: ``q`` or ``k``.
        position: the logical position, None where the row is given.
        row: the row.
        batch: which batch, for positions of each its own.

    Raises:
        BindError: there is no such row.

    """
    what, argument, size = NAMES[side]
    if (position is None) == (row is None):
        message = f"expected one of `{side}`, a position, and `{argument}`, a row"
        raise BindError("M445", message, help=f"write `why({side}=0)`")
    length = spec.sizes[size]
    if position is None:
        return index(argument, row, length, what)
    asked = index(side, position)
    at = positions(spec, side)
    if _in_order(spec, side):
        first = at(batch, 0)
        if first <= asked < first + length:
            return asked - first
    else:
        for one in range(length):
            if at(batch, one) == asked:
                return one
    held = [at(batch, one) for one in range(length)]
    message = f"no {what} of this call is at position {asked}"
    raise BindError("M445", message, help=f"its positions are {min(held)} to {max(held)}")


def index(name: str, value: Any, size: int | None = None, what: str = "") -> int:
    """Return an index as an int within its size.

    Raises:
        BindError: it is none.

    """
    try:
        number = None if isinstance(value, bool) else int(value.__index__())
    except (AttributeError, TypeError, RuntimeError):
        number = None
    if number is None:
        message = f"`{name}` is an int, found {value!r}"
        raise BindError("M445", message, help=f"write `{name}=0`")
    if number < 0 or (size is not None and number >= size):
        message = f"`{name}` counts from 0, found {number}"
        help = f"the last {what} of the call is {size - 1}" if size else "positions count from 0"
        raise BindError("M445", message, help=help)
    return number


def _in_order(spec: CallSpec, side: str) -> bool:
    form = spec.q if side == "q" else spec.k
    return form in (Position.ROW, Position.OFFSET, Position.BATCH_OFFSET)


def as_rows(tensor: Tensor) -> list[tuple[int, int]]:
    """Return the runs of true values of a vector, each from its first to one after its last."""
    padded = torch.nn.functional.pad(tensor.to(torch.int8), (1, 1))
    steps = padded.diff()
    firsts, stops = (steps == 1).nonzero().flatten(), (steps == -1).nonzero().flatten()
    return list(zip(firsts.tolist(), stops.tolist(), strict=True))
