"""What a call is about: its sizes, positions and device, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskc.errors import BindError
from maskc.ir.rows import HEAD_OFFSET, K_POSITION, Q_POSITION, Position
from maskc.ir.types import Sz
from maskc.limits import MAX_INT

MAX_BLOCK = 2**20

SIZES_OF = {
    "q_len": "q.shape[2]",
    "kv_len": "k.shape[2]",
    "batch_size": "q.shape[0]",
    "num_heads": "q.shape[1]",
    "num_kv_heads": "k.shape[1]",
}
"""Where a size is read off, for the error of a wrong one."""

KEYWORDS = (
    *(size.value for size in Sz),
    *("q_offset", "kv_offset", "head_offset", "q_positions", "kv_positions"),
    *("device", "block_size", "compact", "backend", "scale", "dropout_p", "return_lse"),
)
"""What a call takes besides inputs, for the error of a misspelled one."""


@dataclass(frozen=True, slots=True)
class CallSpec:
    """The sizes and positions of a call.

    Attributes:
        sizes: of the attention, ``[batch_size, num_heads, q_len, kv_len]``.
        q: how query positions are given; likewise ``k`` for keys.
        tensors: offsets and positions, under their reserved names.
        head_offset: whether head 0 of this call is another head of the model.
        block_size: of the block mask, (queries, keys); None for the one that suits the mask.
        compact: whether block tables are stored without their unused entries.

    """

    sizes: Mapping[Sz, int]
    q: Position
    k: Position
    tensors: Mapping[str, Tensor]
    head_offset: bool
    block_size: tuple[int, int] | None
    compact: bool
    device: torch.device

    @property
    def group(self) -> int:
        """The number of query heads for each key head."""
        return self.sizes[Sz.NUM_HEADS] // self.sizes[Sz.NUM_KV_HEADS]


def call_spec(
    *,
    q_len: int,
    kv_len: int,
    batch_size: int,
    num_heads: int,
    num_kv_heads: int,
    device: torch.device,
    block_size: int | tuple[int, int] | str,
    q_offset: int | Tensor,
    kv_offset: int | Tensor,
    head_offset: int | Tensor | None,
    q_positions: Any,
    kv_positions: Any,
    compact: bool,
) -> CallSpec:
    """Return the checked description of a call.

    Raises:
        BindError: a size, offset or position table does not fit.

    """
    sizes = {
        Sz.Q_LEN: _size("q_len", q_len),
        Sz.KV_LEN: _size("kv_len", kv_len),
        Sz.BATCH_SIZE: _size("batch_size", batch_size),
        Sz.NUM_HEADS: _size("num_heads", num_heads),
        Sz.NUM_KV_HEADS: _size("num_kv_heads", num_kv_heads),
    }
    if num_heads % num_kv_heads:
        message = f"num_heads={num_heads} is no multiple of num_kv_heads={num_kv_heads}"
        raise BindError("M404", message, help="each key head serves the same number of query heads")
    tensors: dict[str, Tensor] = {}
    rows = _Rows(sizes[Sz.BATCH_SIZE], device, tensors)
    q = rows.positions("q", sizes[Sz.Q_LEN], q_offset, q_positions, Q_POSITION.name)
    k = rows.positions("kv", sizes[Sz.KV_LEN], kv_offset, kv_positions, K_POSITION.name)
    if head_offset is not None:
        tensors[HEAD_OFFSET.name] = rows.offset("head_offset", head_offset, scalar=True)
    return CallSpec(
        sizes, q, k, tensors, head_offset is not None, _blocks(block_size), bool(compact), device
    )


def find_device(device: Any) -> torch.device:
    """Return a device as tensors have it: ``cuda`` with its number.

    Raises:
        BindError: there is none of that name.

    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        message = f"`device` is no device, found {device!r}"
        raise BindError("M403", message, help="write it as torch does: `cpu`, `cuda:0`") from None
    if found.type == "cuda" and found.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return found


def device_of(device: Any, inputs: Mapping[str, Any]) -> torch.device:
    """Return the device of a call: the one that is asked for, or that of the first tensor."""
    if device is not None:
        return find_device(device)
    for value in inputs.values():
        part = value[0] if isinstance(value, tuple) and value else value
        if isinstance(part, torch.Tensor):
            return part.device
    return torch.device("cpu")


def _size(name: str, value: Any) -> int:
    try:
        number = None if isinstance(value, bool) else int(value.__index__())
    except (AttributeError, TypeError):
        number = None
    of = SIZES_OF[name]
    if number is None:
        raise BindError("M403", f"`{name}` is an int, found {value!r}", help=f"it is `{of}`")
    if number < 1:
        help = f"skip the call where there is nothing to attend; else it is `{of}`"
        raise BindError("M403", f"`{name}` is at least 1, found {value!r}", help=help)
    if number > MAX_INT:
        help = "index arithmetic has 32 bits: split the call"
        raise BindError("M403", f"`{name}` is at most {MAX_INT}, found {value!r}", help=help)
    return number


def _blocks(block_size: Any) -> tuple[int, int] | None:
    if isinstance(block_size, str) and block_size == "auto":
        return None
    pair = block_size if isinstance(block_size, tuple | list) else (block_size, block_size)
    fits = len(pair) == 2 and all(
        isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_BLOCK for n in pair
    )
    if not fits:
        message = f"`block_size` is an int or a pair (queries, keys), found {block_size!r}"
        help = '128 is torch\'s default; "auto" takes the one that suits the mask'
        raise BindError("M405", message, help=help)
    return int(pair[0]), int(pair[1])


@dataclass(slots=True)
class _Rows:
    """Reads offsets and positions into ``tensors``."""

    batch: int
    device: torch.device
    tensors: dict[str, Tensor]

    def positions(self, side: str, length: int, offset: Any, table: Any, name: str) -> Position:
        """Record how the positions of one side are given, and return which form it is."""
        plain = isinstance(offset, int) and offset == 0
        if table is not None:
            if not plain:
                message = f"`{side}_positions` and `{side}_offset` are both given"
                raise BindError(
                    "M406", message, help="positions are absolute: leave the offset out"
                )
            found = self._ints(f"{side}_positions", table)
            self._fit(f"{side}_positions", found, [(length,), (self.batch, length)])
            self.tensors[name] = found
            form = Position.TABLE if found.dim() == 1 else Position.BATCH_TABLE
        elif plain:
            return Position.ROW
        else:
            found = self.tensors[name] = self.offset(f"{side}_offset", offset)
            form = Position.BATCH_OFFSET if found.dim() else Position.OFFSET
        lowest = int(torch.min(found))
        if lowest < 0:
            given = "positions" if table is not None else "offset"
            message = f"`{side}_{given}` holds {lowest}, expected positions from 0"
            help = "positions count from 0, in any order: shift them"
            raise BindError("M407", message, help=help)
        return form

    def offset(self, name: str, value: Any, scalar: bool = False) -> Tensor:
        """Return an offset as a tensor, one for all or one for each batch."""
        found = self._ints(name, value)
        self._fit(name, found, [()] if scalar else [(), (self.batch,)])
        if int(found.min()) < 0:
            message = f"`{name}` is at least 0, found {int(found.min())}"
            raise BindError("M407", message, help="positions and heads count from 0")
        return found

    def _ints(self, name: str, value: Any) -> Tensor:
        try:
            found = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            message = f"`{name}` is an int or a tensor of ints, found {type(value).__name__}"
            help = f"pass numbers: `{name}=4`, or a tensor of ints"
            raise BindError("M408", message, help=help) from None
        if found.is_floating_point() or found.is_complex() or found.dtype is torch.bool:
            message = f"`{name}` holds ints, found {found.dtype}"
            raise BindError("M408", message, help=f"convert it: `{name}.long()`")
        if isinstance(value, torch.Tensor) and value.device != self.device and value.dim():
            message = f"`{name}` is on {value.device}, expected {self.device}"
            raise BindError("M409", message, help=f"move it: `{name}.to('{self.device}')`")
        dtype = torch.int32 if found.dtype is torch.int32 else torch.int64
        return found.to(device=self.device, dtype=dtype)

    def _fit(self, name: str, found: Tensor, shapes: list[tuple[int, ...]]) -> None:
        if tuple(found.shape) not in shapes:
            expected = " or ".join(str(list(shape)) if shape else "a number" for shape in shapes)
            message = f"`{name}` has shape {list(found.shape)}, expected {expected}"
            raise BindError("M408", message, help=_shape_help(name))


def _shape_help(name: str) -> str:
    """Tell what the entries of a table of offsets or positions stand for."""
    if name == "head_offset":
        return "it is one number for the whole call"
    each = "row, or for each batch and row" if name.endswith("positions") else "batch, or a number"
    return f"give one entry for each {each}"
