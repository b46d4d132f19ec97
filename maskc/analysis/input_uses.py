"""How a program uses an input, as far as the text tells: what random ones are drawn by."""

from __future__ import annotations

from maskc.ir.nodes import Compare, Coord, Expr, Index, Input, Load, Module, children, walk
from maskc.ir.types import Dim, Ix, Sz

IDS = 4
"""How many different ids an input of ids holds."""

TRUE_SHARE = 0.8
"""How many entries of a boolean input are true."""

COUNTS = {Ix.BATCH: Sz.BATCH_SIZE, Ix.HEAD: Sz.NUM_HEADS, Ix.KV_HEAD: Sz.NUM_KV_HEADS}
"""Indices whose dimension has exactly as many entries as there are."""


def is_per_token(loads: list[Load]) -> bool:
    """Tell whether an input has one entry a token, as document ids have."""
    tokens = [[Index(which)] for which in (Ix.Q, Ix.K, Ix.Q_IDX, Ix.KV_IDX)]
    return all(list(load.indices) in tokens for load in loads)


def is_position(source: Input, module: Module) -> bool:
    """Tell whether an input is compared with a position."""
    return any(
        _holds(side, source) and _holds_position(other)
        for term in walk(*module.roots)
        if isinstance(term, Compare)
        for side, other in ((term.left, term.right), (term.right, term.left))
    )


def _holds(expr: Expr, source: Input) -> bool:
    """Tell whether ``expr`` reads ``source`` outside any subscript."""
    if isinstance(expr, Load):
        return expr.input == source
    return any(_holds(kid, source) for kid in children(expr))


def _holds_position(expr: Expr) -> bool:
    """Tell whether ``expr`` holds a position or a coordinate outside any subscript."""
    match expr:
        case Index(which):
            return bool(which.dim & (Dim.Q | Dim.K))
        case Coord():
            return True
        case Load():
            return False
        case _:
            return any(_holds_position(kid) for kid in children(expr))
