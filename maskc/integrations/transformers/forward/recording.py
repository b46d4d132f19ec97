"""Which layers attended in a forward, and what they ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import local
from typing import Any

from torch import Tensor, nn

from maskc.program import Program
from maskc.run.bound import Bound


@dataclass(frozen=True, slots=True)
class Call:
    """What a layer ran.

    Attributes:
        layer: the module.
        program: what it attends to.
        bound: the program, bound.
        inputs: the tensors that the program reads.
        query: ``[batch, heads, queries, width]``.
        key: ``[batch, key heads, keys, width]``.

    """

    layer: nn.Module
    program: Program
    bound: Bound
    inputs: Mapping[str, Any]
    query: Tensor
    key: Tensor

    @property
    def is_cross(self) -> bool:
        """Whether queries and keys are of different lengths."""
        return self.query.shape[2] != self.key.shape[2]


class _Open(local):
    """Who asks for the calls of layers: in each thread by itself, as models may run in several."""

    def __init__(self) -> None:
        self.lists: list[list[Call]] = []


_open = _Open()


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Yield the calls of the layers within, in this thread and in order."""
    calls: list[Call] = []
    _open.lists.append(calls)
    try:
        yield calls
    finally:
        _open.lists.pop()


def is_recording() -> bool:
    """Tell whether somebody asks for the calls of layers."""
    return bool(_open.lists)


def record(call: Call) -> None:
    """Note the call of a layer for those who ask."""
    for calls in _open.lists:
        calls.append(call)
