"""What the callable calls things: its local variables, and the functions it is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from maskc.ir.nodes import Expr
from maskc.tracing.callables.location import is_user_code
from maskc.tracing.run.symbol import Symbol


@dataclass(slots=True)
class LocalNames:
    """Names of terms; that of a variable comes before that of the function that gave it."""

    variables: dict[Expr, str] = field(default_factory=dict)
    functions: dict[Expr, str] = field(default_factory=dict)

    def get(self, term: Expr) -> str | None:
        """Return the name of a term, or None."""
        return self.variables.get(term) or self.functions.get(term)

    def take(self, frame: FrameType, returned: Any) -> None:
        """Take the names of a frame that is about to be left."""
        for name, value in frame.f_locals.items():
            _put(self.variables, value, name)
        if frame.f_code.co_name.isidentifier():  # and not `<lambda>`
            _put(self.functions, returned, frame.f_code.co_name)


@contextmanager
def watched() -> Iterator[LocalNames]:
    """Collect the names of terms from the user's frames that return meanwhile."""
    result = LocalNames()

    def watch(frame: FrameType, event: str, returned: Any) -> None:
        if event == "return" and is_user_code(frame):
            result.take(frame, returned)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield result
    finally:
        sys.setprofile(before)


def _put(names: dict[Expr, str], value: Any, name: str) -> None:
    if isinstance(value, Symbol) and not value.dim():
        names.setdefault(value.nodes[0], name)
