"""Whether every query row has a key, as far as the mask tells without its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, IntConst, Module, TopK, rewrite, walk
from maskc.ir.rows import KV_ROW, Q_ROW
from maskc.ir.types import Sz
from maskc.passes.support.driver import simplify


def has_keys(mask: Expr, sizes: Mapping[Sz, int]) -> bool:
    """Tell whether a mask over rows is known to show each query row the first key, or its own."""
    if mask == TRUE or any(isinstance(term, TopK) for term in walk(mask)):
        return mask == TRUE
    keys: list[Expr] = [IntConst(0)]
    if sizes[Sz.Q_LEN] <= sizes[Sz.KV_LEN]:
        keys.append(Q_ROW)
    return any(_shows(mask, key) for key in keys)


def _shows(mask: Expr, key: Expr) -> bool:
    there = rewrite(mask, lambda term: key if term == KV_ROW else None)
    return simplify(Module(there, SCORE, OUT)).module.mask == TRUE
