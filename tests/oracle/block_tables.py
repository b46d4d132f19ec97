"""The tables of a block mask, both ways, against the mask itself."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oracle.case import Case


def block_mask(case: Case) -> str | None:
    """Compare the tables: no key lost, none that a full block has too many."""
    found, mask = case.bound.block_mask, case.expected.mask
    if found is None:
        return None if bool(mask.all()) else "there is no block mask, and some pair is masked"
    height, width = found.BLOCK_SIZE
    rows, columns = -(-mask.shape[2] // height), -(-mask.shape[3] // width)
    padding = (0, columns * width - mask.shape[3], 0, rows * height - mask.shape[2])
    inside = F.pad(torch.ones_like(mask), padding)
    tiles = F.pad(mask, padding)

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], rows, height, columns, width).transpose(3, 4)

    any_key = split(tiles).any(-1).any(-1)
    is_full = (split(tiles) | ~split(inside)).all(-1).all(-1)
    for side in ("kv", "q"):
        partial, full = _tables(found, side, rows, columns)
        if side == "q":
            partial, full = partial.transpose(-1, -2), full.transpose(-1, -2)
        for wrong, what in (
            (any_key & ~(partial | full), "tiles with keys are missing"),
            (full & ~is_full, "tiles are full that are not"),
            (partial & full, "tiles are both partial and full"),
        ):
            if bool(wrong.any()):
                at = [int(i) for i in wrong.nonzero()[0]]
                return f"{int(wrong.sum())} {what} by the tables of {side}, first {at}"
    return None


def _tables(found: Any, side: str, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return which tiles a side's tables call partial, and which full."""
    shape = (rows, columns) if side == "kv" else (columns, rows)
    kinds = []
    for prefix in ("", "full_"):
        counts = getattr(found, f"{prefix}{side}_num_blocks")
        indices = getattr(found, f"{prefix}{side}_indices")
        if counts is None:
            kinds.append(torch.zeros(1, 1, *shape, dtype=torch.bool))
            continue
        used = torch.arange(indices.shape[-1]) < counts[..., None]
        marked = torch.zeros(*counts.shape, shape[1] + 1, dtype=torch.bool)
        places = torch.where(used, indices.long(), shape[1])
        kinds.append(marked.scatter(-1, places, True)[..., :-1])
    return kinds[0], kinds[1]
