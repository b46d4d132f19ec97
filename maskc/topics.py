"""Topics and their lines, as both kinds of ``explain`` print them."""

from __future__ import annotations

WIDTH = 13
"""Of the column of headings."""


def render(topics: dict[str, list[str]]) -> str:
    """Return topics as text, without those that have no lines."""
    return "\n".join(
        f"{'' if row else name:<{WIDTH}}{line}"
        for name, lines in topics.items()
        for row, line in enumerate(lines)
    )


def describe_bytes(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
