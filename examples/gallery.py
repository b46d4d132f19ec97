"""Draw every piece of the gallery, and write ``examples/README.md``: ``make gallery``.

A mask is drawn as maskc's own tiles beside its elements. A program that changes the score is drawn
as what becomes of a score of 2 at every query and key.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import fill

import torch
from maskc.view.tiles import Tile
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pieces import SECTIONS, Piece
from PIL import Image
from torch import Tensor

import maskc
from maskc.elaborate.unsupported import reasons
from maskc.view.library import entries
from maskc.view.picture import COLOURS, INK, PAPER, picture

HERE = Path(__file__).parent
IMAGES = HERE / "images"
PALETTE = 48
"""Colours of a picture's palette: few make a small file."""
GIVEN_SCORE = 2.0
HEAD = """# The gallery

Masks and scores of the literature, each as a program of maskc: a line of the standard library
(`maskc list` prints its names), or a file of this folder. Beside the mask stand the tiles that a
block-sparse kernel sees, as maskc derives them from the text. A program that changes the score is
drawn as what becomes of a score of 2, where the mask lets it through.

`make gallery` draws the pictures and writes this page. The tensors come from
`maskc.integrations.inputs`: documents from lengths or `cu_seqlens`, trees, slopes, tables.

`python train.py` is a program in use: it trains a small model on every backend, its mask from a
config, and holds the loss curves against each other.
"""
BEYOND = """## What no program can say

A score is a function of one query and one key, and a softmax over the keys follows. maskc refuses
by name what does not fit, and tells the reason:

"""


def main() -> None:
    """Draw the pictures and write the page."""
    page = [HEAD, contents()]
    for section, pieces in SECTIONS.items():
        page.append(f"## {section}\n")
        page += [shown(piece) for piece in pieces]
    page.append(BEYOND + "\n".join(f"- {reason}" for reason in reasons()) + "\n")
    (HERE / "README.md").write_text("\n".join(page), encoding="utf-8")


def contents() -> str:
    """Return links to the sections."""
    links = [f"[{title}](#{anchor(title)})" for title in SECTIONS]
    return " · ".join([*links, "[What no program can say](#what-no-program-can-say)"]) + "\n"


def anchor(title: str) -> str:
    """Return the fragment under which GitHub finds a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def shown(piece: Piece) -> str:
    """Draw a piece and return its part of the page."""
    program = maskc.compile_mask(piece.text, **piece.constants)
    bound = program.bind(
        q_len=piece.q_len,
        kv_len=piece.kv_len,
        num_heads=piece.num_heads,
        block_size=piece.block_size,
        **piece.bind,
        **piece.inputs,
    )
    lines = [f"### {piece.title}\n", about(piece), f"```\n{program_text(piece)}\n```\n"]
    lines += [f"![{piece.title}](images/{path.name})\n" for path in draw(piece, bound)]
    return "\n".join(lines)


def draw(piece: Piece, bound: maskc.Bound) -> list[Path]:
    """Draw a piece: a curve of all heads, or a picture a head."""
    masks = bound.dense_mask().expand(-1, piece.num_heads, -1, -1)[0]
    changed = [scores(bound, masks[head], head) for head in piece.show]
    if all(found is not None and len(found[~found.isnan()].unique()) == 1 for found in changed):
        path = IMAGES / f"{piece.slug}.png"
        curve(bound, piece, path)
        shrink(path)
        return [path]
    paths = []
    for head, found in zip(piece.show, changed, strict=True):
        several = len(piece.show) > 1
        path = IMAGES / (f"{piece.slug}-{head}.png" if several else f"{piece.slug}.png")
        title = one_line(piece) + (f"   (head {head})" if several else "")
        if found is None:
            block = (piece.block_size, piece.block_size)
            picture(masks[head].numpy(), path, title=title, block=block)
        else:
            heat(found, path, title)
        shrink(path)
        paths.append(path)
    return paths


def about(piece: Piece) -> str:
    """Return the sentence about a piece: its own, its file's, or the standard library's."""
    if piece.about:
        return piece.about + "\n"
    if piece.is_file:
        comments = [line for line in piece.text.splitlines() if line.startswith("# ")]
        return f"{' '.join(line[2:] for line in comments)} ([{piece.source}]({piece.source}))\n"
    used = [
        f"- `{entry.form}`: {entry.doc}"
        for entry in entries()
        if entry.meaning and uses(piece.text, entry.name, entry.form)
    ]
    return "\n".join(used) + "\n"


def uses(text: str, name: str, form: str) -> bool:
    """Tell whether a program uses a name of the standard library with that many arguments."""
    for call in re.finditer(rf"(?<![\w.]){name}\b(\([^()]*\))?", text):
        given = (call[1] or "").count(",") + bool(call[1])
        required = sum("=" not in part for part in form.split("(")[-1].split(",")) * ("(" in form)
        if required <= given <= form.count(",") + ("(" in form):
            return True
    return False


def program_text(piece: Piece) -> str:
    """Return the program as the page shows it, without the comment at its head."""
    lines = piece.text.strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("# "))


def one_line(piece: Piece) -> str:
    """Return the program without its declarations."""
    lines = (line.partition("#")[0] for line in piece.text.splitlines())
    parts = [part.strip() for line in lines for part in line.split(";")]
    return "; ".join(part for part in parts if part and not part.startswith(("param", "input")))


def scores(bound: maskc.Bound, mask: Tensor, head: int) -> Tensor | None:
    """Return what becomes of the given score, NaN where it is masked; None: it stays."""
    if bound.score_mod is None:
        return None
    q, k = torch.arange(mask.shape[0])[:, None], torch.arange(mask.shape[1])
    score = torch.full(mask.shape, GIVEN_SCORE)
    found = bound.score_mod(score, torch.tensor(0), torch.tensor(head), q, k)
    return found.expand(mask.shape).masked_fill(~mask, torch.nan).detach()


def heat(values: Tensor, path: Path, title: str) -> None:
    """Draw scores as colours."""
    figure, axes = panel(title)
    image = axes.imshow(values.numpy(), cmap="viridis", interpolation="nearest")
    axes.set_xlabel("k", color=INK)
    axes.set_ylabel("q", color=INK, rotation=0, labelpad=8)
    figure.colorbar(image, ax=axes, label=f"score that was {GIVEN_SCORE:g}")
    figure.savefig(path)


def curve(bound: maskc.Bound, piece: Piece, path: Path) -> None:
    """Draw the new score over the old, for a program that looks at nothing else."""
    figure, axes = panel(one_line(piece))
    old, zero = torch.linspace(-6, 6, 241), torch.tensor(0)
    axes.plot(old, old, color=COLOURS[Tile.EMPTY], linewidth=4, label="before")
    for head in piece.show:
        new = bound.score_mod(old, zero, torch.tensor(head), zero, zero)
        axes.plot(old, new, label=f"head {head}" if len(piece.show) > 1 else "after")
    axes.set_xlabel("score", color=INK)
    axes.set_ylim(-7, 7)
    axes.legend(frameon=False)
    figure.savefig(path)


def panel(title: str) -> tuple[Figure, Axes]:
    """Return a figure with one panel."""
    figure = Figure(figsize=(5.4, 4.6), dpi=110, facecolor=PAPER, layout="constrained")
    figure.suptitle(fill(title, 60), family="monospace", fontsize=8, color=INK)
    return figure, figure.subplots()


def shrink(path: Path) -> None:
    """Write a picture again with a palette."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
