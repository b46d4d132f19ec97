"""The tensors that a callable holds, by the names under which it reaches them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from maskc.elaborate.scope import CALL, LANGUAGE
from maskc.tracing.callables.location import user_frame

MOST_PARTS = 64
DEEPEST = 6

WORDS = frozenset(
    {"let", "def", "param", "input", "axis", "if", "else", "true", "false", "from", "and", "or"}
    | {"not", "inf", "full"}
)
"""Words of the grammar, which no name may be."""


@dataclass(slots=True)
class Captured:
    """Names of tensors: those that a callable reaches, and those that a trace meets besides.

    Attributes:
        inputs: the tensors that were read, by their names as inputs.

    """

    found: dict[int, tuple[str, Tensor]]
    inputs: dict[str, Tensor] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def of(*callables: Callable[..., Any]) -> Captured:
        """Return the tensors that callables hold."""
        result: dict[int, tuple[str, Tensor]] = {}
        seen: set[int] = set()
        for one in callables:
            for name, tensor in _tensors("mod", one, seen, 0):
                result.setdefault(id(tensor), (name, tensor))
        return Captured(result)

    @property
    def device(self) -> torch.device:
        """Where the first of the tensors is."""
        return next((tensor.device for _, tensor in self.found.values()), torch.device("cpu"))

    def holds(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is captured, or a view of one that is."""
        return id(tensor) in self._names or self.base(tensor) is not None

    def base(self, tensor: Tensor) -> Tensor | None:
        """Return the captured tensor that a tensor is, or is a view of; None for others."""
        entry = self._entry(tensor)
        return None if entry is None else entry[1]

    def name(self, tensor: Tensor) -> str:
        """Return the name of the input that a tensor is, making it one."""
        if id(tensor) not in self._names:
            entry = self._entry(tensor)
            wanted = entry[0] if entry is not None else _local_name(tensor) or "table"
            self._names[id(tensor)] = free_name(wanted, self.inputs)
            self.inputs[self._names[id(tensor)]] = tensor
        return self._names[id(tensor)]

    def add(self, tensor: Tensor, name: str) -> None:
        """Let a tensor that the callable does not hold be an input."""
        self.found[id(tensor)] = (name, tensor)

    def _entry(self, tensor: Tensor) -> tuple[str, Tensor] | None:
        """Return the captured tensor with the storage of this one, and its name."""
        if id(tensor) in self.found:
            return self.found[id(tensor)]
        storage = tensor.untyped_storage()._cdata
        for name, other in self.found.values():
            if other.untyped_storage()._cdata == storage and other.device == tensor.device:
                return name, other
        return None


def free_name(wanted: str, taken: Mapping[str, Any]) -> str:
    """Return a name that the language has free, as like to ``wanted`` as can be."""
    base = re.sub(r"[^0-9A-Za-z_]", "_", wanted).strip("_") or "table"
    base = base if base[0].isalpha() else f"t{base}"
    if base in LANGUAGE | CALL | WORDS:
        base = f"{base}_in"
    name, count = base, 2
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    return name


def _local_name(tensor: Tensor) -> str | None:
    """Return the name of the callable's local variable that holds a tensor."""
    frame = user_frame()
    variables = frame.f_locals if frame is not None else {}
    return next((name for name, value in variables.items() if value is tensor), None)


def _tensors(name: str, value: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a value leads to, each with the name that leads there."""
    if isinstance(value, Tensor):
        yield name, value
        return
    if depth > DEEPEST or id(value) in seen:
        return
    seen.add(id(value))
    for inner, part in _parts(name, value):
        yield from _tensors(inner, part, seen, depth + 1)


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds."""
    match value:
        case None | bool() | int() | float() | str() | bytes() | ModuleType() | type():
            return
        case FunctionType():
            yield from _of_function(value)
        case functools.partial():
            yield name, value.func
            yield from value.keywords.items()
            yield from ((f"{name}{index}", part) for index, part in enumerate(value.args))
        case MethodType():
            yield name, value.__func__
            yield name, value.__self__
        case nn.Module():
            for key, tensor in [*value.named_parameters(), *value.named_buffers()]:
                yield key.replace(".", "_"), tensor
            yield from _of_object(value)
        case tuple() | list() if len(value) <= MOST_PARTS:
            for index, part in enumerate(value):
                yield f"{name}{index}" if isinstance(part, Tensor) else name, part
        case dict() if len(value) <= MOST_PARTS:
            yield from ((str(key), part) for key, part in value.items())
        case _:
            yield from _of_object(value)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function closes over, its defaults, and the tensors and functions it names."""
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if cell != type(cell)():  # a variable of the enclosing function without a value yet
            yield name, cell.cell_contents
    defaults = function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()
    for name in code.co_names:
        value = function.__globals__.get(name)
        same_file = getattr(value, "__module__", None) == function.__module__
        if isinstance(value, Tensor) or (isinstance(value, FunctionType) and same_file):
            yield name, value


def _of_object(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, and its ``__call__``."""
    attributes = getattr(value, "__dict__", {})
    yield from ((key, part) for key, part in list(attributes.items()) if key[:1] != "_")
    for slot in getattr(type(value), "__slots__", ()):
        if slot[:1] != "_" and hasattr(value, slot):
            yield slot, getattr(value, slot)
    call = type(value).__call__ if callable(value) else None
    if isinstance(call, FunctionType):
        yield "call", call
