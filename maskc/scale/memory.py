"""What a rank's tables take."""

from __future__ import annotations

import torch

from maskc.run.bound import Bound


def table_bytes(bound: Bound) -> int:
    """Return the bytes of block tables and positions; those that share memory count once."""
    blocks = bound.block_mask
    tables = [*bound.spec.tensors.values(), *(blocks.as_tuple() if blocks is not None else ())]
    stored = {x.untyped_storage().data_ptr(): x for x in tables if isinstance(x, torch.Tensor)}
    return sum(x.untyped_storage().nbytes() for x in stored.values())
