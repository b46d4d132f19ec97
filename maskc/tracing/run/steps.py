"""Where the elements of a symbol come from: a part of a tensor with data, or steps before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskc.errors import TraceError
from maskc.ir.nodes import Expr
from maskc.ir.types import Ix


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How a symbol came to be, so that it can be computed again with numbers.

    Attributes:
        along: the indices that it depends on; None where it depends on the score as well.
        function: what gave it; None for an index itself.
        args: its arguments, symbols among them.
        kwargs: its keywords.

    """

    along: frozenset[Ix] | None
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A part of a tensor with data.

    Attributes:
        base: the tensor.
        at: the subscript of each dimension, None for one that is left whole.

    """

    base: Tensor
    at: tuple[Expr | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions that are left whole."""
        sizes = zip(self.at, self.base.shape, strict=True)
        return tuple(size for index, size in sizes if index is None)

    def narrowed(self, indices: tuple[Expr | None, ...]) -> Row:
        """Return the part of this row at ``indices``, one for each dimension left whole."""
        rest = iter(indices)
        return Row(self.base, tuple(next(rest) if index is None else index for index in self.at))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table whose values are still to come.

    Attributes:
        name: what it is called if nothing else is.
        empty: a tensor of its shape and dtype.
        step: what it is made by.
        refusal: what to raise if it cannot be made.

    """

    name: str
    empty: Tensor
    step: Step
    refusal: TraceError
