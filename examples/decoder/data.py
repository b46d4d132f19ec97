"""Packed synthetic text: documents of differing lengths, a few to a row.

A document counts up in steps of its own, so that a model that looks back, and no further than its
document, learns to continue it.
"""

import torch
from torch import Tensor


def packed(vocab: int, rows: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return tokens and document ids ``[rows, length]``, three documents to a row."""
    random = torch.Generator().manual_seed(seed)
    cuts = torch.randint(length // 8, length - length // 8, (rows, 2), generator=random)
    doc = (torch.arange(length)[:, None] >= cuts[:, None]).sum(dim=-1)
    step = torch.randint(1, 8, (rows, 3), generator=random).gather(1, doc)
    return step.cumsum(dim=1) % vocab, doc
