"""The look of all pictures; the page has the same colours (``explorer/page.css``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskc.view.scene import Array
from maskc.view.shares import Part
from maskc.view.squares import Along

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, DIM, PAPER = "#22313f", "#667788", "#ffffff"
EMPTY, PARTIAL, FULL = "#eef1f4", "#f8e3bf", "#2b6f8f"
QUERY = "#d1495b"
SCALE = "viridis"

SQUARE_UP_TO = 4
"""The ratio of the sides up to which an element is drawn as a square."""
FAINTEST = 0.12
"""How much of its colour a square shows that hardly attends."""


def shade(share: Array, partial: Array | None) -> Array:
    """Return the colours of squares, ``[rows, columns, 3]`` from 0 to 1.

    Args:
        share: how much of each attends.
        partial: which of them lie in a partial tile; None where tiles are not shown.

    """
    empty = np.broadcast_to(rgb(EMPTY), (*share.shape, 3))
    if partial is not None:
        empty = np.where(partial[..., None], rgb(PARTIAL), empty)
    strength = np.where(share > 0, FAINTEST + (1 - FAINTEST) * share, 0)[..., None]
    result: Array = empty * (1 - strength) + rgb(FULL) * strength
    return result


def place(rows: Along, columns: Along, part: Part) -> dict[str, Any]:
    """Return where an image of squares lies, in elements whose middles are whole numbers."""
    right = columns.begin + columns.count * columns.step - 0.5
    bottom = rows.begin + rows.count * rows.step - 0.5
    ratio = len(part.rows) / len(part.columns)
    return {
        "extent": (columns.begin - 0.5, right, bottom, rows.begin - 0.5),
        "interpolation": "nearest",
        "aspect": "equal" if 1 / SQUARE_UP_TO <= ratio <= SQUARE_UP_TO else "auto",
    }


def frame(axes: Axes, part: Part) -> None:
    """Set the ends, the names and the numbers of the axes."""
    axes.set_xlim(part.columns.start - 0.5, part.columns.stop - 0.5)
    axes.set_ylim(part.rows.stop - 0.5, part.rows.start - 0.5)
    axes.set_xlabel("k", color=INK)
    axes.set_ylabel("q", color=INK, rotation=0, labelpad=8, va="center")
    axes.tick_params(colors=INK, labelsize=8, length=2)
    axes.locator_params(nbins=6, integer=True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def rgb(colour: str) -> Array:
    """Return a colour as three numbers from 0 to 1."""
    number = int(colour[1:], 16)
    return np.array([number >> 16, number >> 8 & 255, number & 255]) / 255
