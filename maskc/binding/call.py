"""What a call is about: its sizes, positions and device, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index
from typing import Any

import torch
from torch import Tensor

from maskc.binding.flags import check_flag
from maskc.errors import BindError
from maskc.ir.in_trace import in_trace
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

SIZES = (Sz.Q_LEN, Sz.KV_LEN, Sz.BATCH_SIZE, Sz.NUM_HEADS, Sz.NUM_KV_HEADS)
"""The order of sizes in a description of a call."""

OF_BIND = (
    *(size.value for size in Sz),
    *("q_offset", "kv_offset", "head_offset", "q_positions", "kv_positions"),
    *("device", "block_size", "compact", "backward"),
)
OF_CALLS = ("backend", "scale", "dropout_p", "return_lse")
"""What ``bind`` and a call take besides inputs, for the error of a misspelled or misplaced one."""


@dataclass(frozen=True, slots=True, eq=False)
class CallSpec:
    """The sizes and positions of a call.

    Calls with the same sizes, whose rows stand where they are, share one, so that what is worked
    out for it is found by it.

    Attributes:
        sizes: of the attention, ``[batch_size, num_heads, q_len, kv_len]``.
        q: how query positions are given; likewise ``k`` for keys.
        tensors: offsets and positions, under their reserved names.
        numbers: those of them that were given as a number, which nothing can change.
        head_offset: whether head 0 of this call is another head of the model.
        block_size: of the block mask, (queries, keys); None for the one that suits the mask.
        compact: whether block tables are stored without their unused entries.
        backward: whether block masks have the tables that a backward pass reads.

    """

    sizes: Mapping[Sz, int]
    q: Position
    k: Position
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, int]
    head_offset: bool
    block_size: tuple[int, int] | None
    compact: bool
    backward: bool
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
    backward: bool,
) -> CallSpec:
    """Return the checked description of a call.

    Raises:
        BindError: a size, offset or position table does not fit.

    """
    given = q_len, kv_len, batch_size, num_heads, num_kv_heads
    numbers_alone = {*map(type, given), type(q_offset), type(kv_offset)} == {int}
    bare = head_offset is q_positions is kv_positions is None
    check_flag("compact", compact)
    check_flag("backward", backward)
    if numbers_alone and q_offset == kv_offset == 0 and bare and not in_trace():
        return _spec_at_rows(given, _blocks(block_size), compact, backward, device)
    sizes = _sizes(given)
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, int] = {}
    rows = _Rows(sizes[Sz.BATCH_SIZE], device, tensors, numbers)
    q = rows.positions("q", sizes[Sz.Q_LEN], q_offset, q_positions, Q_POSITION.name)
    k = rows.positions("kv", sizes[Sz.KV_LEN], kv_offset, kv_positions, K_POSITION.name)
    if head_offset is not None:
        rows.offset("head_offset", head_offset, HEAD_OFFSET.name, scalar=True)
    return CallSpec(
        sizes,
        q,
        k,
        tensors,
        numbers,
        head_offset=head_offset is not None,
        block_size=_blocks(block_size),
        compact=compact,
        backward=backward,
        device=device,
    )


@lru_cache(maxsize=1024)
def _spec_at_rows(
    sizes: tuple[int, ...],
    block_size: tuple[int, int] | None,
    compact: bool,
    backward: bool,
    device: torch.device,
) -> CallSpec:
    """Return the description of a call whose positions are its rows, one for equal calls."""
    return CallSpec(
        _sizes(sizes),
        Position.ROW,
        Position.ROW,
        {},
        {},
        head_offset=False,
        block_size=block_size,
        compact=compact,
        backward=backward,
        device=device,
    )


def _sizes(given: tuple[Any, ...]) -> dict[Sz, int]:
    """Return the checked sizes of a call, given in the order of ``SIZES``."""
    sizes = {which: _size(which.value, one) for which, one in zip(SIZES, given, strict=True)}
    num_heads, num_kv_heads = sizes[Sz.NUM_HEADS], sizes[Sz.NUM_KV_HEADS]
    if num_heads % num_kv_heads:
        message = f"num_heads={num_heads} is no multiple of num_kv_heads={num_kv_heads}"
        raise BindError("M404", message, help="each key head serves the same number of query heads")
    return sizes


def next_step(
    spec: CallSpec,
    *,
    q_len: int | None,
    kv_len: int | None,
    q_offset: int | Tensor | None,
    kv_offset: int | Tensor | None,
    q_positions: Any,
    kv_positions: Any,
) -> CallSpec:
    """Return the description of a call at other lengths and positions; None leaves one as it is.

    Raises:
        BindError: a size, offset or position table does not fit.

    """
    sizes = dict(spec.sizes)
    tensors, numbers = dict(spec.tensors), dict(spec.numbers)
    rows = _Rows(sizes[Sz.BATCH_SIZE], spec.device, tensors, numbers)
    if q_len is not None:
        sizes[Sz.Q_LEN] = _size("q_len", q_len)
    if kv_len is not None:
        sizes[Sz.KV_LEN] = _size("kv_len", kv_len)
    q = rows.moved(spec.q, "q", sizes[Sz.Q_LEN], q_offset, q_positions, Q_POSITION.name)
    k = rows.moved(spec.k, "kv", sizes[Sz.KV_LEN], kv_offset, kv_positions, K_POSITION.name)
    return replace(spec, sizes=sizes, q=q, k=k, tensors=tensors, numbers=numbers)


def find_device(device: Any) -> torch.device:
    """Return a device as tensors have it: ``cuda`` with its number.

    Raises:
        BindError: there is none of that name.

    """
    try:
        result = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        message = f"`device` is no device, found {device!r}"
        raise BindError("M403", message, help="write it as torch does: `cpu`, `cuda:0`") from None
    if result.type == "meta":
        help = "bind on the device that the call runs on; `Bound.to` moves a binding"
        raise BindError("M403", "tensors on `meta` hold no values to attend with", help=help)
    _check_present(result)
    if result.type == "cuda" and result.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return result


def _check_present(device: torch.device) -> None:
    """Refuse a device that this process has not; within a trace it is that of a tensor."""
    if device.type == "cpu" or in_trace():
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # of which NotImplementedError is one
        message = f"there is no device `{device}` here"
        raise BindError("M403", message, help="run where it is, or bind for `cpu`") from None


def device_of(device: Any, inputs: Mapping[str, Any]) -> torch.device:
    """Return the device of a call: the one that is asked for, or that of the first tensor."""
    if device is not None:
        return find_device(device)
    for value in inputs.values():
        part = value[0] if isinstance(value, tuple) and value else value
        if isinstance(part, torch.Tensor):
            return find_device(part.device)
    return torch.device("cpu")


def _is_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    return isinstance(value, torch.Tensor) and value.dtype is torch.bool


def _size(name: str, value: Any) -> int:
    try:
        number = None if _is_bool(value) else _whole(name, value)
    except (AttributeError, TypeError, RuntimeError):
        number = None
    of = SIZES_OF[name]
    if number is None:
        raise BindError("M403", f"`{name}` is an int, found {value!r}", help=f"it is `{of}`")
    if number < 1:
        help = f"skip the call where there is nothing to attend; else it is `{of}`"
        raise BindError("M403", f"`{name}` is at least 1, found {value!r}", help=help)
    if not in_trace() and number > MAX_INT:
        help = "index arithmetic has 32 bits: split the call"
        raise BindError("M403", f"`{name}` is at most {MAX_INT}, found {value!r}", help=help)
    return number


def _whole(name: str, value: Any) -> int:
    """Return a size as an int; lengths and batches that a trace leaves open stay symbols."""
    if in_trace() and name not in ("num_heads", "num_kv_heads"):
        result: int = value
        return result
    return index(value)


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
    """Reads offsets and positions into ``tensors``, and numbers into ``numbers`` too."""

    batch: int
    device: torch.device
    tensors: dict[str, Tensor]
    numbers: dict[str, int]

    def positions(self, side: str, length: int, offset: Any, table: Any, name: str) -> Position:
        """Record how the positions of one side are given, and return which form it is."""
        is_zero = isinstance(offset, int) and offset == 0
        if table is None and is_zero:
            return Position.ROW
        if table is None:
            result = self.offset(f"{side}_offset", offset, name)
            return Position.BATCH_OFFSET if result.dim() else Position.OFFSET
        if not is_zero:
            message = f"`{side}_positions` and `{side}_offset` are both given"
            raise BindError("M406", message, help="positions are absolute: leave the offset out")
        result = self.tensors[name] = self._ints(f"{side}_positions", table)
        self._fit(f"{side}_positions", result, [(length,), (self.batch, length)])
        return Position.TABLE if result.dim() == 1 else Position.BATCH_TABLE

    def moved(
        self, form: Position, side: str, length: int, offset: Any, table: Any, name: str
    ) -> Position:
        """Record the positions of one side in the next step; without new ones they stay."""
        if offset is None and table is None:
            if form in (Position.TABLE, Position.BATCH_TABLE):
                expected = [(length,), (self.batch, length)]
                self._fit(f"{side}_positions", self.tensors[name], expected)
            return form
        self.numbers.pop(name, None)
        self.tensors.pop(name, None)
        return self.positions(side, length, 0 if offset is None else offset, table, name)

    def offset(self, argument: str, value: Any, name: str, scalar: bool = False) -> Tensor:
        """Record an offset, one for all or one for each batch, and return it as a tensor."""
        result = self._ints(argument, value)
        if isinstance(value, int):
            self.numbers[name] = value
        else:
            self._fit(argument, result, [()] if scalar else [(), (self.batch,)])
        if argument == "head_offset" and not in_trace() and int(result) < 0:
            message = f"`head_offset` is at least 0, found {int(result)}"
            raise BindError("M407", message, help="heads count from 0")
        self.tensors[name] = result
        return result

    def _ints(self, name: str, value: Any) -> Tensor:
        try:
            if in_trace() and not isinstance(value, torch.Tensor):
                return torch.full((), value, dtype=torch.int64, device=self.device)
            if type(value) is int:
                return torch.tensor(value, dtype=torch.int64, device=self.device)
            result = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            message = f"`{name}` is an int or a tensor of ints, found {type(value).__name__}"
            help = f"pass numbers: `{name}=4`, or a tensor of ints"
            raise BindError("M408", message, help=help) from None
        if result.is_floating_point() or result.is_complex() or result.dtype is torch.bool:
            message = f"`{name}` holds ints, found {result.dtype}"
            raise BindError("M408", message, help=f"convert it: `{name}.long()`")
        if isinstance(value, torch.Tensor) and value.device != self.device and value.dim():
            message = f"`{name}` is on {value.device}, expected {self.device}"
            raise BindError("M409", message, help=f"move it: `{name}.to('{self.device}')`")
        dtype = torch.int32 if result.dtype is torch.int32 else torch.int64
        return result.to(device=self.device, dtype=dtype)

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
