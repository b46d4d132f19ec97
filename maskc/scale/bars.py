"""A plan as lines of text: a bar a rank."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 40
"""Characters of the longest bar."""


def bars(tiles: Sequence[int], kv_needed: Sequence[float]) -> list[str]:
    """Return a line for each rank: its tiles as a bar and as a number, and its share of keys."""
    most = max(*tiles, 1)
    digits, width = len(str(len(tiles) - 1)), len(str(most))
    return [
        f"{rank:>{digits}} {'█' * round(WIDTH * cost / most):<{WIDTH}} {cost:>{width}} tiles, "
        f"{share:.0%} of the keys"
        for rank, (cost, share) in enumerate(zip(tiles, kv_needed, strict=True))
    ]
