"""The words that calls take, as types: a checker of types then knows a misspelled one."""

from __future__ import annotations

from typing import Literal

EmptyRows = Literal["zero", "all", "nan", "error"]
"""What a query row without a key gives."""

BackendName = Literal["auto", "flex", "sdpa", "sdpa+columns", "banded", "reference"]
"""A backend of ``maskc.run.backends``, or the rules that choose one."""

Target = Literal["flex", "sdpa", "module"]
"""What ``Program.emit`` writes."""

BlockSize = int | tuple[int, int] | Literal["auto"]
"""Of a block mask: one int, (queries, keys), or the one that suits the mask."""

Fallback = Literal["warn", "error", "silent"]
"""What ``create_block_mask`` does with a callable that has no translation."""

Balance = Literal["lpt", "contiguous", "headtail"]
"""How a plan gives blocks of queries to ranks."""
