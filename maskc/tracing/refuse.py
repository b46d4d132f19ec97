"""What has no translation, said with the callable's own line and the fix."""

from __future__ import annotations

from maskc.errors import TraceError
from maskc.tracing.place import span_of, user_frame

TABLE_CODES = frozenset({"M704", "M705", "M707"})
"""Refusals of what could still be evaluated at every row of one index."""

_FIXES = {
    "M704": "subscript by one index at a time, each a tensor of one value",
    "M706": "convert the tensor before it is captured",
    "M707": "compute it before, into a tensor, and subscript that by the indices",
}
"""What helps in general."""

ELEMENTWISE = "use `torch.where`, `&`, `|` and `~`, which work for every pair at once"


def refusal(code: str, message: str, help: str | None = None) -> TraceError:
    """Return the error for what the callable does on its current line.

    Codes: M701 the value of an index, M702 random numbers, M703 writes, M704 subscripts,
    M705 whole tensors, M706 dtypes, M707 operations without a translation, M708 results.
    """
    return TraceError(code, message, span_of(user_frame()), help or _FIXES.get(code))


def asks_for_value(how: str) -> TraceError:
    """Return the error for control flow on an index, ``int(q)``, ``q.item()`` and the like."""
    return refusal("M701", f"{how} asks for the value of an index, which has none yet", ELEMENTWISE)
