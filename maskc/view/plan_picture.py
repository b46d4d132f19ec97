"""The ranks of a plan as a picture: what each has to do, by every order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskc.view.picture import empty_figure, write_figure
from maskc.view.scene import Array
from maskc.view.style import DIM, FULL, INK, QUERY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = 3.2, 2.6
"""Width and height of a panel in inches."""
UNEVEN = 1.05
"""How far above the mean the busiest rank is shown as such."""


def plan_picture(costs: Mapping[str, Array], path: Path, *, title: str) -> None:
    """Write a panel of bars for each order, all to one scale; the line is the mean of the ranks.

    Args:
        costs: the tiles of each rank, ``[ranks]``, by the name of the order.
        path: the file; the format follows its name.
        title: usually the program.

    Raises:
        LoadError: matplotlib is not there, or the file cannot be written.

    """
    made = empty_figure((len(costs) * PANEL[0] + 0.6, PANEL[1] + 0.6), title)
    panels = made.subplots(1, len(costs), squeeze=False, sharey=True)[0]
    for axes, (order, cost) in zip(panels, costs.items(), strict=True):
        _bars(axes, order, cost)
    panels[0].set_ylabel("tiles", color=INK, fontsize=9)
    write_figure(made, path)


def _bars(axes: Axes, order: str, cost: Array) -> None:
    mean = float(cost.mean()) if cost.any() else 1.0
    colours = [QUERY if one == cost.max() and one > UNEVEN * mean else FULL for one in cost]
    axes.bar(np.arange(len(cost)), cost, width=0.8, color=colours)
    axes.axhline(mean, color=DIM, linewidth=0.8)
    axes.set_title(f"{order}: busiest {cost.max() / mean:.3f} of the mean", fontsize=9, color=DIM)
    axes.set_xlabel("rank", color=INK, fontsize=9)
    axes.tick_params(colors=DIM, labelsize=8, length=2)
    axes.locator_params(axis="x", nbins=8, integer=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
