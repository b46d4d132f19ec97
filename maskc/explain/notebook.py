"""Programs as a notebook shows them: the text, what it reads, and a small picture of the mask."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from maskc.compiled import Compiled
from maskc.explain.thumbnail import thumbnail
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import Coord, TopK, inputs, walk
from maskc.ir.types import Sz

TOKENS = 32
"""Of the call that the picture of a program shows."""


def program_html(program: Compiled) -> str:
    """Return a program as HTML; without tensors, a mask that reads some has no picture."""
    shares = _mask(program)
    picture = "" if shares is None else thumbnail(shares, f"the mask of {TOKENS} tokens")
    reads = [f"{one.name}: {one.type}" for one in program.inputs]
    return beside(picture, program.source, [f"reads {', '.join(reads)}"] if reads else [])


def beside(picture: str, code: str, lines: list[str]) -> str:
    """Return a picture with a text and some lines beside it."""
    text = f"<pre>{escape(code.strip())}</pre>" + "".join(f"<div>{escape(x)}</div>" for x in lines)
    style = "display:flex;gap:1em;align-items:flex-start"
    return f'<div style="{style}">{picture}<div style="text-align:left">{text}</div></div>'


def _mask(program: Compiled) -> NDArray[np.float64] | None:
    """Return the mask of a small call by the evaluator, None where that takes tensors."""
    mask = program.module.mask
    if inputs(mask) or program.open_layer is not None:
        return None
    if any(isinstance(term, TopK | Coord) for term in walk(mask)):
        return None
    sizes = {Sz.BATCH_SIZE: 1, Sz.NUM_HEADS: 1, Sz.NUM_KV_HEADS: 1}
    env = Env({**sizes, Sz.Q_LEN: TOKENS, Sz.KV_LEN: TOKENS})
    try:
        values = [
            [bool(evaluate(mask, Point(0, 0, q, k), env)) for k in range(TOKENS)]
            for q in range(TOKENS)
        ]
    except (ZeroDivisionError, OverflowError):
        return None
    return np.array(values, np.float64)
