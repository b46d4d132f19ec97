"""Bound tensors against declared inputs: type, device, rank; nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from maskc.binding.call import OF_BIND, OF_CALLS, CallSpec
from maskc.binding.check_reads import Sides
from maskc.binding.needed_shape import has_batch, needed_shape
from maskc.binding.plain import check_plain
from maskc.binding.signature import Shapes
from maskc.errors import BindError, did_you_mean
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr, Input, Load, Same, walk
from maskc.ir.rows import side_name
from maskc.ir.types import Sz, Type
from maskc.limits import EXACT_FLOAT
from maskc.source import Span

_NARROW = (torch.bool, torch.uint8, torch.int8, torch.int16)
"""The dtypes whose ints every float of 32 bits holds."""


def known(given: Iterable[str], declared: Iterable[str]) -> None:
    """Refuse a keyword that is no input of the program."""
    listed = list(declared)
    for name in given:
        if name not in listed:
            raise BindError("M401", f"the program has no input `{name}`", help=_meant(name, listed))


def _meant(name: str, inputs: list[str]) -> str:
    """Return what a keyword that is no input may be."""
    if name in OF_CALLS:
        return f"it goes to the call: `bound(q, k, v, {name}=...)`"
    if name in OF_BIND:
        return f"it goes to the binding: `program.bind({name}=...)`"
    shown = ", ".join(f"`{one}`" for one in inputs) or "none"
    close = did_you_mean(name, [*inputs, *OF_BIND, *OF_CALLS])
    return close or f"the program's inputs are: {shown}"


def as_tensors(given: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return inputs with numbers as tensors, so that a new number compiles nothing in a trace."""

    def fits(value: Any) -> bool:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)

    return {
        name: torch.as_tensor(value, device=device) if fits(value) else value
        for name, value in given.items()
    }


def read(
    roots: Iterable[Expr], given: Mapping[str, Any], spec: CallSpec
) -> tuple[Shapes, dict[str, Tensor]]:
    """Return the shapes and the tensors of the inputs that ``roots`` read.

    Raises:
        BindError: an input is missing, or has the wrong type, device, rank or batch.

    """
    shapes: list[tuple[str, Sides]] = []
    tensors: dict[str, Tensor] = {}
    for load in _first_loads(roots):
        name = load.input.name
        if name not in given:
            raise _missing(load, spec)
        value = given[name]
        parts = value if _is_pair(value) else (value,)
        result = [_tensor(load, part, spec) for part in parts]
        names = [side_name(name, side) for side in "qk"] if len(result) == 2 else [name]
        tensors.update(zip(names, result, strict=True))
        shapes.append((name, tuple(_side(load, tensor, spec) for tensor in result)))
    return tuple(shapes), tensors


def names_of(roots: Iterable[Expr]) -> tuple[str, ...]:
    """Return the names of the inputs that ``roots`` read."""
    return tuple(load.input.name for load in _first_loads(roots))


def missing(roots: Iterable[Expr], given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the inputs that ``roots`` read and ``given`` lacks."""
    return tuple(name for name in names_of(roots) if name not in given)


def _first_loads(roots: Iterable[Expr]) -> tuple[Load, ...]:
    keys = tuple(map(Same, roots))
    if in_trace():
        return _loads(keys)  # dynamo warns of a cache, and follows it all the same
    return _kept_loads(keys)


@lru_cache(maxsize=1024)
def _kept_loads(roots: tuple[Same, ...]) -> tuple[Load, ...]:
    return _loads(roots)


def _loads(roots: tuple[Same, ...]) -> tuple[Load, ...]:
    loads: dict[Input, Load] = {}
    for term in walk(*(root.expr for root in roots)):
        if isinstance(term, Load):
            loads.setdefault(term.input, term)
    return tuple(loads.values())


def _is_pair(value: Any) -> bool:
    """Tell a pair (for queries, for keys) from two numbers."""
    return (
        isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], torch.Tensor | list)
    )


def _missing(load: Load, spec: CallSpec) -> BindError:
    name, kind = load.input.name, load.input.type.value
    message = f"input `{name}` is missing, expected {needed_shape(load, spec)} of {kind}"
    return BindError("M402", message, load.span, f"bind it: `{name}=...`")


def _tensor(load: Load, value: Any, spec: CallSpec) -> Tensor:
    """Return a value as the tensor of an input, in its type and on the right device."""
    name, kind = load.input.name, load.input.type
    try:
        result = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        message = f"input `{name}` is a tensor or numbers, found {type(value).__name__}"
        pair = " or a pair of two, for queries and for keys" if isinstance(value, tuple) else ""
        raise BindError(
            "M411", message, load.span, f"pass {needed_shape(load, spec)}{pair}"
        ) from None
    check_plain(name, result, "M412", load.span)
    if not _holds(result.dtype, kind):
        fix = {Type.BOOL: f"compare it: `{name} != 0`", Type.INT: f"convert it: `{name}.long()`"}
        message = f"input `{name}` takes {kind.value}s, found {result.dtype}"
        raise BindError("M412", message, load.span, fix.get(kind))
    if isinstance(value, torch.Tensor) and result.device != spec.device and result.dim():
        message = f"input `{name}` is on {result.device}, expected {spec.device}"
        help = f"move it: `{name}.to('{spec.device}')`"
        raise BindError("M409", message, load.span, help)
    result = result.to(spec.device)
    if kind is Type.FLOAT and not result.is_floating_point():
        _check_exact(load, result)
        result = result.to(torch.get_default_dtype())
    if kind is Type.INT and result.dtype not in (torch.int32, torch.int64):
        result = result.long()  # arithmetic in 8 or 16 bits would wrap
    if 0 in result.shape:
        message = f"input `{name}` is empty, its shape is {list(result.shape)}"
        raise BindError("M413", message, load.span, f"expected {needed_shape(load, spec)}")
    return result


def _check_exact(load: Load, found: Tensor) -> None:
    """Refuse ints for an input of floats that floats of 32 bits do not hold; a trace cannot."""
    if found.dtype in _NARROW or in_trace() or not found.numel():
        return
    low, high = found.aminmax()
    if max(-int(low), int(high)) > EXACT_FLOAT:
        name = load.input.name
        message = f"input `{name}` holds ints above {EXACT_FLOAT}, which its floats would round"
        raise BindError("M433", message, load.span, f"declare it as ints: `input {name}: int`")


def _holds(dtype: torch.dtype, kind: Type) -> bool:
    if dtype.is_complex:
        return False
    match kind:
        case Type.BOOL:
            return dtype is torch.bool
        case Type.INT:
            return dtype is not torch.bool and not dtype.is_floating_point
        case Type.FLOAT:
            return dtype is not torch.bool


def _side(load: Load, tensor: Tensor, spec: CallSpec) -> tuple[bool, tuple[int, ...]]:
    """Return whether a batch stands in front, and the shape; or refuse the rank."""
    rank = len(load.indices)
    allowed = (rank,) if has_batch(load) else (rank, rank + 1)
    if tensor.dim() not in allowed:
        message = (
            f"input `{load.input.name}` has {tensor.dim()} dimensions {list(tensor.shape)}, "
            f"expected {_expected_rank(allowed)}"
        )
        raise BindError("M414", message, load.span, f"expected {needed_shape(load, spec)}")
    batched = tensor.dim() > rank
    if batched and tensor.shape[0] not in (1, spec.sizes[Sz.BATCH_SIZE]):
        raise _batch(load.input.name, tensor.shape[0], spec, load.span)
    return batched, tuple(tensor.shape)


def _expected_rank(allowed: tuple[int, ...]) -> str:
    if len(allowed) == 1:
        return str(allowed[0])
    return f"{allowed[0]}, or {allowed[1]} with the batch in front"


def _batch(name: str, found: int, spec: CallSpec, span: Span | None) -> BindError:
    expected = spec.sizes[Sz.BATCH_SIZE]
    message = f"input `{name}` has a batch of {found}, expected {expected} or 1"
    help = f"give one for each batch, or leave the dimension out where all share `{name}`"
    return BindError("M415", message, span, help)
