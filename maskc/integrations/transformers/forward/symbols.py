"""Mask functions as text: one run on symbols, which ``torch.compile`` can follow.

``maskc.trace`` follows more, but not inside of a graph, and it takes a millisecond where this
takes a tenth: a mask function is read at every forward.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from maskc.ir.in_trace import in_trace
from maskc.tracing.callables.captured import Captured

MaskFunction = Callable[..., Any]

INDICES = ("batch", "head", "q", "k")


class UnreadableError(TypeError):
    """A mask function does what symbols do not follow."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mask function computes.

    Attributes:
        text: a program.
        tables: the tensors that it reads, by the names in the text.

    """

    text: str
    tables: dict[str, Tensor]


def read(mask_function: MaskFunction) -> Reading:
    """Return what a mask function ``(batch, head, q, k)`` computes.

    Raises:
        UnreadableError: it does more than compare, combine and subscript.

    """
    tables = Tables(mask_function)
    with Subscripts(tables):
        result = mask_function(*[Term(name, tables) for name in INDICES])
    return Reading("\n".join([*tables.declarations(), tables.text(result)]), tables.named)


class Tables:
    """The tensors that a mask function reads, named as it names them."""

    def __init__(self, mask_function: MaskFunction) -> None:
        self.mask_function = mask_function
        self.named: dict[str, Tensor] = {}

    def text(self, value: Any) -> str:
        """Return a term, a number or a tensor as text."""
        if isinstance(value, Term):
            return value.text
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return f"({value})"
        if isinstance(value, Tensor) and value.dim() == 0:
            return self.name(value)
        raise UnreadableError(f"found {type(value).__name__}")

    def name(self, tensor: Tensor) -> str:
        """Return the name of a tensor, giving it one."""
        for name, known in self.named.items():
            if known is tensor:
                return name
        name = self._free_name(tensor)
        self.named[name] = tensor
        return name

    def _free_name(self, tensor: Tensor) -> str:
        """Return the name that the mask function has for a tensor; a graph knows no such names."""
        wanted = "table"
        if not in_trace():
            found = Captured.of(self.mask_function).found.get(id(tensor))
            wanted = wanted if found is None else found[0]
        return wanted if wanted not in self.named else f"{wanted}_{len(self.named) + 1}"

    def declarations(self) -> list[str]:
        """Return the statements that declare the tensors."""
        return [f"input {name}: {_type(tensor)}" for name, tensor in self.named.items()]


class Term:
    """An index, or what was computed of indices; it passes for a tensor without dimensions."""

    __hash__ = None  # type: ignore[assignment]
    device = None
    dtype = None

    def __init__(self, text: str, tables: Tables) -> None:
        self.text = text
        self.tables = tables

    def _with(self, sign: str, other: Any) -> Term:
        return Term(f"({self.text} {sign} {self.tables.text(other)})", self.tables)

    def _after(self, sign: str, other: Any) -> Term:
        return Term(f"({self.tables.text(other)} {sign} {self.text})", self.tables)

    def __lt__(self, other: Any) -> Term:
        return self._with("<", other)

    def __le__(self, other: Any) -> Term:
        return self._with("<=", other)

    def __gt__(self, other: Any) -> Term:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Term:
        if self.text in INDICES and type(other) is int and other <= 0:
            return Term("true", self.tables)  # transformers counts from 0; so it says "every key"
        return self._with(">=", other)

    def __eq__(self, other: object) -> Term:  # type: ignore[override]
        return self._with("==", other)

    def __ne__(self, other: object) -> Term:  # type: ignore[override]
        return self._with("!=", other)

    def __add__(self, other: Any) -> Term:
        return self._with("+", other)

    def __radd__(self, other: Any) -> Term:
        return self._after("+", other)

    def __sub__(self, other: Any) -> Term:
        return self._with("-", other)

    def __rsub__(self, other: Any) -> Term:
        return self._after("-", other)

    def __mul__(self, other: Any) -> Term:
        return self._with("*", other)

    def __rmul__(self, other: Any) -> Term:
        return self._after("*", other)

    def __floordiv__(self, other: Any) -> Term:
        return self._with("//", other)

    def __mod__(self, other: Any) -> Term:
        return self._with("%", other)

    def __and__(self, other: Any) -> Term:
        return self._with("&", other)

    def __rand__(self, other: Any) -> Term:
        return self._after("&", other)

    def __or__(self, other: Any) -> Term:
        return self._with("|", other)

    def __ror__(self, other: Any) -> Term:
        return self._after("|", other)

    def __xor__(self, other: Any) -> Term:
        return self._with("^", other)

    def __invert__(self) -> Term:
        return Term(f"(!{self.text})", self.tables)

    def __neg__(self) -> Term:
        return Term(f"(-{self.text})", self.tables)

    def __abs__(self) -> Term:
        return Term(f"abs({self.text})", self.tables)

    def __bool__(self) -> bool:
        raise UnreadableError("it branches on an index")

    def new_ones(self, *_: Any, **__: Any) -> Term:
        """Return true: what ``and_masks`` begins with."""
        return Term("true", self.tables)

    def new_zeros(self, *_: Any, **__: Any) -> Term:
        """Return false: what ``or_masks`` begins with."""
        return Term("false", self.tables)

    def to(self, *_: Any, **__: Any) -> Term:
        """Return itself: it is on every device."""
        return self

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse functions of torch, which are for ``maskc.trace``."""
        raise UnreadableError(f"it calls {getattr(func, '__name__', func)}")


class Subscripts(TorchFunctionMode):
    """Takes ``tensor[index]`` and operators with a tensor on their left."""

    def __init__(self, tables: Tables) -> None:
        super().__init__()
        self.tables = tables

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Translate a subscript by terms; refuse what else is done with terms."""
        if func is Tensor.__getitem__ or func is operator.getitem:
            parts = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, Term) for part in parts):
                return self._subscripted(args[0], parts)
        if any(isinstance(arg, Term) for arg in args):
            raise UnreadableError(f"it calls {getattr(func, '__name__', func)}")
        return func(*args, **(kwargs or {}))

    def _subscripted(self, source: Tensor, parts: tuple[Any, ...]) -> Term:
        if len(parts) != source.dim():
            raise UnreadableError("a subscript leaves a whole dimension")
        inside = ", ".join([self.tables.text(part) for part in parts])
        return Term(f"{self.tables.name(source)}[{inside}]", self.tables)


def _type(tensor: Tensor) -> str:
    if tensor.dtype is torch.bool:
        return "bool"
    return "float" if tensor.is_floating_point() else "int"
