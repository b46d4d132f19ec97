"""A long row of documents whose lengths have a long tail."""

import torch
from torch import Tensor


def long_row(vocab: int, tokens: int, typical: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return tokens ``[1, tokens]`` and the document of each ``[tokens]``.

    Lengths are lognormal, as those of scraped text are; ``typical`` is their median. A document
    counts up in steps of its own, so that a model that looks back, and no further than its
    document, learns to continue it.
    """
    random = torch.Generator().manual_seed(seed)
    lengths = torch.empty(tokens).log_normal_(0.0, 1.2, generator=random) * typical
    doc = torch.repeat_interleave(torch.arange(tokens), lengths.long() + 2)[:tokens]
    step = torch.randint(1, 8, (tokens,), generator=random)[doc]
    return (step.cumsum(0) % vocab)[None], doc
