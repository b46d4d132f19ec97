"""A mask as a picture: the elements, and beside them the tiles that a block-sparse kernel sees."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from maskc.errors import LoadError
from maskc.files.read import reason
from maskc.files.write import write_bytes
from maskc.view.tiles import Tile, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

INK = "#22313f"
PAPER = "#ffffff"
COLOURS = {Tile.EMPTY: "#eef1f4", Tile.PARTIAL: "#f2a93b", Tile.FULL: "#2b6f8f"}
SQUARE_UP_TO = 4
"""The ratio of the sides up to which an element is drawn as a square."""
PANEL = 3.9
"""Width of a panel in inches; its title needs as much."""
SIGNS_AN_INCH = 11
GRID_UP_TO = 40
"""The most elements or tiles a side between which white lines are drawn."""


def picture(mask: NDArray[Any], path: str | Path, *, title: str, block: tuple[int, int]) -> None:
    """Write a picture of the mask; the format follows the name (``.png``, ``.svg``, ``.pdf``).

    Args:
        mask: booleans, ``[Q, K]``.
        path: the file to write.
        title: what the picture is of, usually the program.
        block: rows and columns of a tile.

    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError:
        message, help = "a picture needs matplotlib", "install it: `pip install 'maskc[view]'`"
        raise LoadError("M606", message, help=help) from None
    kinds = tiles(mask, *block)
    size = _size(mask.shape)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=size, dpi=150, layout=layout, facecolor=PAPER)
    figure.suptitle(_title(title, size[0]), family="monospace", fontsize=10, color=INK)
    elements, blocks = figure.subplots(1, 2)
    _matrix(elements, mask * int(Tile.FULL), (1, 1), mask.shape)
    _matrix(blocks, kinds, block, mask.shape)
    elements.set_title(_elements_title(mask), fontsize=9, color=INK)
    blocks.set_title(_tiles_title(kinds, block), fontsize=9, color=INK)
    _legend(figure)
    write_bytes(Path(path), _drawn(figure, Path(path)))


def _drawn(figure: Figure, path: Path) -> bytes:
    """Return a picture in the format that the name of its file says, PNG where it says none."""
    drawn = BytesIO()
    try:
        figure.savefig(drawn, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise LoadError("M605", f"cannot write `{path}`: {reason(error)}") from None
    return drawn.getvalue()


def _size(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return width and height in inches: two panels in the mask's proportions, within bounds."""
    rows, columns = shape
    width = PANEL
    height = min(max(PANEL * rows / columns, PANEL / 4), PANEL * 1.5)
    return 2 * width + 1.2, height + 1.4


def _title(text: str, width: float) -> str:
    """Return the program without its comments on at most two lines of ``width`` inches."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    statements = "; ".join(line for line in lines if line)
    return fill(statements, int(width * SIGNS_AN_INCH), max_lines=2, placeholder=" ...")


def _matrix(
    axes: Axes, kinds: NDArray[Any], block: tuple[int, int], shape: tuple[int, ...]
) -> None:
    """Draw a matrix of tile kinds in the units of elements."""
    from matplotlib.colors import ListedColormap

    rows, columns = kinds.shape
    extent = (0.0, float(columns * block[1]), float(rows * block[0]), 0.0)
    axes.imshow(
        kinds,
        cmap=ListedColormap([COLOURS[tile] for tile in Tile]),
        vmin=min(Tile),
        vmax=max(Tile),
        extent=extent,
        interpolation="nearest",
        aspect="equal" if 1 / SQUARE_UP_TO <= shape[0] / shape[1] <= SQUARE_UP_TO else "auto",
    )
    axes.set_xlim(0, shape[1])
    axes.set_ylim(shape[0], 0)
    axes.set_xlabel("k", color=INK)
    axes.set_ylabel("q", color=INK, rotation=0, labelpad=8, va="center")
    axes.tick_params(colors=INK, labelsize=8, length=2)
    axes.locator_params(nbins=6, integer=True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if max(rows, columns) <= GRID_UP_TO:
        for row in range(1, rows):
            axes.axhline(row * block[0], color=PAPER, linewidth=0.6)
        for column in range(1, columns):
            axes.axvline(column * block[1], color=PAPER, linewidth=0.6)


def _elements_title(mask: NDArray[Any]) -> str:
    return f"{mask.shape[0]} x {mask.shape[1]} elements, {mask.mean():.1%} attend"


def _tiles_title(kinds: NDArray[Any], block: tuple[int, int]) -> str:
    counts = ", ".join(f"{int((kinds == tile).sum())} {tile.name.lower()}" for tile in _order())
    return f"tiles of {block[0]} x {block[1]}: {counts}"


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=COLOURS[tile], label=tile.name.lower()) for tile in _order()]
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=len(patches),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def _order() -> list[Tile]:
    return sorted(Tile, reverse=True)
