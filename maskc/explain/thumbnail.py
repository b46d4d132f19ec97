"""A mask as a small picture for a notebook: SVG in a few hundred rectangles, without a library."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

SIDE = 160
"""Of the longer edge, in pixels."""

MOST_SQUARES = 64
"""Along an edge; larger masks are shown by the mean of their squares."""

COLOUR = "#1f5aa6"


def thumbnail(shares: NDArray[np.float64], title: str) -> str:
    """Return a picture, queries down and keys across.

    Args:
        shares: of the pairs of each square that attend, ``[rows, columns]``, 0 to 1.
        title: what a screen reader says.

    """
    shares = _fitted(shares)
    rows, columns = shares.shape
    scale = SIDE / max(rows, columns)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{columns * scale:.0f}" '
        f'height="{rows * scale:.0f}" viewBox="0 0 {columns} {rows}" '
        f'shape-rendering="crispEdges"><title>{escape(title)}</title>'
    )
    frame = f'<rect width="{columns}" height="{rows}" fill="#f2f2f2"/>'
    return f"{head}{frame}{''.join(_rectangles(shares))}</svg>"


def _fitted(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a picture of at most so many squares, each the mean of what it stands for."""
    for axis in (0, 1):
        count = shares.shape[axis]
        step = -(-count // MOST_SQUARES)
        if step > 1:
            starts = np.arange(0, count, step)
            sums = np.add.reduceat(shares, starts, axis)
            counts = np.diff(np.append(starts, count))
            shares = sums / (counts[:, None] if axis == 0 else counts)
    return shares


def _rectangles(shares: NDArray[np.float64]) -> list[str]:
    """Return a rectangle for each run of squares of one shade in a row."""
    shades = np.ceil(shares * 8).astype(np.int64)
    found = []
    for row, line in enumerate(shades):
        ends = np.flatnonzero(np.diff(line)) + 1
        starts = [0, *ends.tolist()]
        for start, stop in zip(starts, [*starts[1:], len(line)], strict=True):
            if shade := int(line[start]):
                place = f'x="{start}" y="{row}" width="{stop - start}" height="1"'
                opacity = "" if shade == 8 else f' fill-opacity="{shade / 8}"'
                found.append(f'<rect {place} fill="{COLOUR}"{opacity}/>')
    return found
