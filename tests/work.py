"""How much work a call does: counted, since a clock tells what else the machine does too."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable

SECOND = 5_000_000
"""Calls of Python functions that take about a second."""


def calls_of(action: Callable[[], object]) -> int:
    """Return how many Python functions ``action`` calls, and generators it resumes."""
    profile = cProfile.Profile(builtins=False)
    profile.runcall(action)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]
