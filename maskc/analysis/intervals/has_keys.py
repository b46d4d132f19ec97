"""Whether every query row has a key, as far as the mask tells without its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from maskc.analysis.intervals.whole_call import WholeCall, between, whole_call
from maskc.ir.nodes import Expr, rewrite
from maskc.ir.rows import KV_ROW, Q_ROW
from maskc.ir.types import Ix, Sz


def has_keys(mask: Expr, sizes: Mapping[Sz, int]) -> bool:
    """Tell whether a mask over rows is known to show each query row the first key, or its own."""
    call = whole_call(sizes, {})
    first = WholeCall(sizes, {Ix.KV_IDX: between(0, 0)}, call.reads)
    if first.truth(mask).always is True:
        return True
    return sizes[Sz.Q_LEN] <= sizes[Sz.KV_LEN] and call.truth(_at_own_key(mask)).always is True


@lru_cache(maxsize=1024)
def _at_own_key(mask: Expr) -> Expr:
    """Return the mask at the key row of the query's number."""
    return rewrite(mask, lambda term: Q_ROW if term == KV_ROW else None)
