"""What a program makes of a score: as a heat map, or as a curve where it looks at nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskc.ir.nodes import Expr, Load, Value, children
from maskc.ir.types import Dim
from maskc.view.scene import Array
from maskc.view.shares import Looker, Part
from maskc.view.squares import Along
from maskc.view.style import DIM, EMPTY, FULL, INK, SCALE, frame, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 192
"""Points along a side at which a score is worked out."""
FURTHEST = 6.0
"""The largest score of a curve."""


def score_panel(axes: Axes, made: Figure, looker: Looker, part: Part, score: float) -> None:
    """Draw what a program makes of a score.

    Args:
        axes: the panel.
        made: the figure that it is part of.
        looker: the program.
        part: the queries and keys that are drawn.
        score: what a heat map starts from.

    """
    if _reads_positions(looker.program.score):
        _heat(axes, made, looker, part, score)
    else:
        _curve(axes, looker)


def _reads_positions(expr: Expr) -> bool:
    """Tell whether a score differs from pair to pair by more than the score before."""
    match expr:
        case Value():
            return False
        case _ if isinstance(expr, Load) or not children(expr):
            return bool(expr.deps & (Dim.Q | Dim.K))
        case _:
            return any(map(_reads_positions, children(expr)))


def _heat(axes: Axes, made: Figure, looker: Looker, part: Part, score: float) -> None:
    """Draw what becomes of one score, at the middle of each square, where the mask lets it."""
    rows, columns = part.squares(MOST)
    queries, keys = _middles(rows)[:, None], _middles(columns)[None]
    scores = looker.values(looker.program.score, queries, keys, score).astype(float)
    hidden = ~looker.mask(queries, keys) | (scores == -np.inf)
    axes.set_facecolor(EMPTY)
    shown = np.ma.masked_array(scores, hidden)
    image = axes.imshow(shown, cmap=SCALE, **place(rows, columns, part))
    frame(axes, part)
    axes.set_title(f"what a score of {score:g} becomes", fontsize=9, color=DIM)
    bar = made.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)


def _middles(squares: Along) -> Array:
    firsts = squares.begin + np.arange(squares.count) * squares.step
    result: Array = firsts + squares.sizes // 2
    return result


def _curve(axes: Axes, looker: Looker) -> None:
    """Draw the new score over the old."""
    at = np.zeros((1, 1), np.int64)
    old = np.linspace(-FURTHEST, FURTHEST, 241)
    new = [looker.values(looker.program.score, at, at, float(score)).item() for score in old]
    axes.plot(old, old, color=EMPTY, linewidth=5, label="as it was")
    axes.plot(old, new, color=FULL, linewidth=2, label="as it is")
    axes.set_xlim(-FURTHEST, FURTHEST)
    axes.set_ylim(-FURTHEST, FURTHEST)
    axes.set_aspect("equal")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    axes.tick_params(colors=INK, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_color(EMPTY)
    axes.set_title("what a score becomes", fontsize=9, color=DIM)
