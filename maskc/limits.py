"""The numbers that the language, its kernels and its tensors can hold, each stated once."""

from __future__ import annotations

MAX_INT = 2**31 - 1
"""The largest int of a text, of a size, and of a kernel, whose ints have 32 bits."""

MAX_INT64 = 2**63 - 1
"""The largest int of a tensor."""

MAX_ROUNDED = 2**31 - 128
"""``int`` of a float saturates at this, the largest float32 of 32 bits."""

EXACT_FLOAT = 2**24
"""Ints up to this are floats of 32 bits."""
