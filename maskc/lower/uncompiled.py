"""Notice FlexAttention that runs uncompiled: torch then keeps the scores of all pairs.

It does so when nobody compiles it, and when a compiled function that calls it was compiled too
often, for new lengths say: torch then runs the whole function as it is. It looks into the mods all
the same, by a trace of its own, and there we see who it is that asks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from torch._guards import TracingContext
from torch.nn.attention import flex_attention

from maskc.errors import DenseScoresWarning
from maskc.lower.constant_in_trace import constant_in_trace

TRACED_BY = "_flex_attention_hop_wrapper"
"""The function in which torch's uncompiled FlexAttention traces its mods."""

SHOWN_ONCE = "flex_attention_performance"
"""Under this name torch remembers to have warned of the same, once a process."""

MESSAGE = (
    "flex_attention runs uncompiled and keeps the scores of all pairs: nothing compiles its "
    "caller, or torch.compile gave up on it after too many recompilations; call "
    "`bound(q, k, v)`, which compiles, or compile the caller with `fullgraph=True`, which raises "
    "instead of giving up, and for many lengths raise `torch._dynamo.config.recompile_limit`"
)


@cache
def watch() -> Callable[[], bool]:
    """Return what a mod calls in a trace; dynamo runs it and does not look into it."""
    return constant_in_trace(_watched)


@contextmanager
def expected() -> Iterator[None]:
    """Run FlexAttention uncompiled on purpose; torch's own warning stays for others to come."""
    shown: set[str] = getattr(flex_attention, "_WARNINGS_SHOWN", set())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        warnings.filterwarnings("ignore", message="flex_attention runs uncompiled")
        had_shown = SHOWN_ONCE in shown
        try:
            yield
        finally:
            if not had_shown:
                shown.discard(SHOWN_ONCE)


def _watched() -> bool:
    """Warn if the trace is that of uncompiled FlexAttention."""
    stack = TracingContext.extract_stack()
    if stack and stack[0].name == TRACED_BY:
        warnings.warn(MESSAGE, DenseScoresWarning, stacklevel=2)
    return True
