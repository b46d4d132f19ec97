"""Two block masks with the same tables: what is listed, not what stands behind it."""

from __future__ import annotations

import torch
from torch.nn.attention.flex_attention import BlockMask


def assert_same_tables(found: BlockMask, wanted: BlockMask) -> None:
    assert found.shape == wanted.shape
    assert found.BLOCK_SIZE == wanted.BLOCK_SIZE
    assert found.seq_lengths == wanted.seq_lengths
    for name in ("kv", "full_kv", "q", "full_q"):
        counts = [getattr(one, f"{name}_num_blocks") for one in (found, wanted)]
        if counts[1] is None:
            assert counts[0] is None
            continue
        assert torch.equal(*counts)
        assert counts[0].dtype is counts[1].dtype
        tables = [getattr(one, f"{name}_indices") for one in (found, wanted)]
        assert tables[0].shape == tables[1].shape
        listed = torch.arange(tables[0].shape[-1]) < counts[0][..., None]
        # Order within a row is free: it only says in which order tiles are run.
        rows = [torch.where(listed, table, -1).sort(-1).values for table in tables]
        assert torch.equal(*rows)
