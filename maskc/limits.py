"""The numbers that the language, its kernels and its tensors can hold, each stated once."""

from __future__ import annotations

import math

MAX_INT = 2**31 - 1
"""The largest int of a text, of a size, and of a kernel, whose ints have 32 bits."""

MAX_INT64 = 2**63 - 1
"""The largest int of a tensor."""

MAX_ROUNDED = 2**31 - 128
"""``int`` of a float saturates at this, the largest float32 of 32 bits."""

EXACT_FLOAT = 2**24
"""Ints up to this are floats of 32 bits."""

MAX_FLOAT = 2.0**128 - 2.0**104
"""The largest float of a text and of a kernel, whose floats have 32 bits."""


def held(value: float) -> float:
    """Return a float within those of 32 bits; one that rounds to none of them is infinite.

    torch refuses to put a larger Python float beside a tensor.
    """
    if abs(value) <= MAX_FLOAT or value != value:
        return value
    largest = MAX_FLOAT if abs(value) < MAX_FLOAT + 2.0**103 else math.inf
    return math.copysign(largest, value)
