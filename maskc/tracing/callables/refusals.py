"""What has no translation, said with the callable's own line and the fix."""

from __future__ import annotations

from maskc.errors import TraceError
from maskc.tracing.callables.location import span_of, user_frame

TABLE_CODES = frozenset({"M107", "M804", "M805", "M807", "M814"})
"""Refusals of what could still be evaluated at every row of one index."""

_FIXES = {
    "M804": "subscript by one index at a time, each a tensor of one value",
    "M806": "convert the tensor before it is captured",
    "M807": "compute it before, into a tensor, and subscript that by the indices",
    "M814": "compute it before, into a tensor, and subscript that by the indices",
}
"""What helps in general."""

ELEMENTWISE = "use `torch.where`, `&`, `|` and `~`, which work for every pair at once"


def refusal(code: str, message: str, help: str | None = None) -> TraceError:
    """Return the error for what the callable does on its current line.

    Codes: M107 numbers that no program can write, M801 the value of an index, M802 random
    numbers, M803 writes, M804 subscripts, M805 whole tensors, M806 dtypes, M807 operations
    without a translation, M808 results, M814 terms that are too large.
    """
    return TraceError(code, message, span_of(user_frame()), help or _FIXES.get(code))


def asks_for_value(how: str) -> TraceError:
    """Return the error for control flow on an index, ``int(q)``, ``q.item()`` and the like."""
    return refusal("M801", f"{how} asks for the value of an index, which has none yet", ELEMENTWISE)
