"""Draw every piece of the gallery, and write ``examples/README.md``: ``make gallery``.

Pictures are those of ``maskc show -o mask.png``: the mask with its tiles, what a score of 2
becomes, what one query sees of a token grid. Pages to explore (``maskc show -o mask.html``) are
written to ``examples/explorers/``, which git ignores: all together they are some megabytes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from pieces import SECTIONS, Piece
from PIL import Image

import maskc
from maskc.elaborate.unsupported import reasons
from maskc.view.explorer.page import page
from maskc.view.library import entries
from maskc.view.looked_at import looked_at
from maskc.view.picture import Pictured, picture
from maskc.view.scene import Scene
from maskc.view.seen import middle_query
from maskc.view.shares import Looker, Part

HERE = Path(__file__).parent
IMAGES = HERE / "images"
EXPLORERS = HERE / "explorers"
PALETTE = 48
"""Colours of a picture's palette: few make a small file."""
GIVEN_SCORE = 2.0
HEAD = """# The gallery

Masks and scores of the literature, each as a program of maskc: a line of the standard library
(`maskc list` prints its names), or a file of this folder. Lines part the tiles that a block-sparse
kernel sees; what a partial tile computes for nothing is tinted. Beside a mask stands what becomes
of a score of 2, where the program changes it, and what one query sees of a token grid.

`make gallery` draws the pictures, writes this page, and writes `explorers/`: a page for each
program, to open in a browser, where its numbers are sliders and each pair of query and key says why
it attends or not. (They are not in git; `maskc show PROGRAM -o mask.html` writes one for a program
of your own.) The tensors come from `maskc.integrations.inputs`: documents from lengths or
`cu_seqlens`, trees, slopes, tables.

`python train.py` is a program in use: it trains a small model on every backend, its mask from a
config, and holds the loss curves against each other.
"""
BEYOND = """## What no program can say

A score is a function of one query and one key, and a softmax over the keys follows. maskc refuses
by name what does not fit, and tells the reason:

"""


def main() -> None:
    """Draw the pictures and write the pages."""
    EXPLORERS.mkdir(exist_ok=True)
    text = [HEAD, contents()]
    for section, pieces in SECTIONS.items():
        text.append(f"## {section}\n")
        text += [shown(piece) for piece in pieces]
    text.append(BEYOND + "\n".join(f"- {reason}" for reason in reasons()) + "\n")
    (HERE / "README.md").write_text("\n".join(text), encoding="utf-8")


def contents() -> str:
    """Return links to the sections."""
    links = [f"[{title}](#{anchor(title)})" for title in SECTIONS]
    return " · ".join([*links, "[What no program can say](#what-no-program-can-say)"]) + "\n"


def anchor(title: str) -> str:
    """Return the fragment under which GitHub finds a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def shown(piece: Piece) -> str:
    """Draw a piece and return its part of the page."""
    scenes = [scene(piece, head) for head in piece.show]
    path = EXPLORERS / f"{piece.slug}.html"
    path.write_text(page(scenes[0]), encoding="utf-8")
    lines = [f"### {piece.title}\n", about(piece), f"```\n{program_text(piece)}\n```\n"]
    lines += [f"![{piece.title}](images/{drawn.name})" for drawn in draw(piece, scenes)]
    return "\n".join([*lines, f"\n[explore](explorers/{path.name})\n"])


def scene(piece: Piece, head: int) -> Scene:
    """Return the call of a piece, looked at in one head."""
    sizes = {
        "batch_size": 1,
        "num_heads": piece.num_heads,
        "num_kv_heads": piece.num_heads,
        "q_len": piece.q_len,
        "kv_len": piece.kv_len or piece.q_len,
    }
    program = maskc.compile_mask(piece.text, **piece.constants)
    inputs = {name: np.asarray(value) for name, value in piece.inputs.items()}
    positions = {
        name: value.numpy() if isinstance(value, torch.Tensor) else value
        for name, value in piece.bind.items()
    }
    return Scene(program, sizes, inputs, 0, head, piece.block_size, **positions)


def draw(piece: Piece, scenes: list[Scene]) -> list[Path]:
    """Draw a piece, a picture a head."""
    paths = []
    for shown in scenes:
        several = len(scenes) > 1
        path = IMAGES / (f"{piece.slug}-{shown.head}.png" if several else f"{piece.slug}.png")
        title = one_line(piece) + (f"   (head {shown.head})" if several else "")
        looker = Looker(shown, looked_at(shown))
        part = Part(range(shown.q_len), range(shown.kv_len))
        picture(Pictured(looker, part, title, GIVEN_SCORE, middle_query(shown)), path)
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


def shrink(path: Path) -> None:
    """Write a picture again with a palette."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
