"""Mark a function whose result is a constant of a trace, without loading dynamo.

What dynamo runs for real may give back a number or a text, but no object; the trace then finds the
object by the number.

``torch.compiler.assume_constant_result`` loads it, which takes two seconds of a process that may
never trace anything. All that it does then is to set a mark, which we set ourselves for those
versions of torch where that was looked up; tests trace such functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., object])
Value = TypeVar("Value")

MARK = "_dynamo_marked_constant"
KNOWN = ("2.11.", "2.12.", "2.13.")
"""The versions of torch whose mark that is."""


def constant_in_trace(function: Function) -> Function:
    """Return the function, marked: dynamo runs it and does not look into it."""
    if "torch._dynamo" not in sys.modules and torch.__version__.startswith(KNOWN):
        setattr(function, MARK, True)
        return function
    marked: Function = torch.compiler.assume_constant_result(function)  # type: ignore[no-untyped-call]
    return marked


class ByNumber(Generic[Value]):
    """Objects that a trace finds by number, also those that are added while it goes on.

    They are attributes: dynamo takes a dict as it was when the trace first read it, and guards an
    attribute by itself, so that others compile nothing again.
    """

    def __init__(self) -> None:
        self._next = count()

    def add(self, value: Value) -> int:
        """Return the number of a new object."""
        number = next(self._next)
        setattr(self, f"at_{number}", value)
        return number

    def get(self, number: int) -> Value:
        """Return the object of a number."""
        value: Value = getattr(self, f"at_{number}")
        return value
