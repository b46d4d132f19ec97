"""Mark a function whose result is a constant of a trace, without loading dynamo.

``torch.compiler.assume_constant_result`` loads it, which takes two seconds of a process that may
never trace anything. All that it does then is to set a mark, which we set ourselves for those
versions of torch where that was looked up; tests trace such functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., object])

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
