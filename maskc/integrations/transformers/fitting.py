"""How much text fits the tensors that the programs of a model read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from maskc.integrations.transformers.forward.attached import Attached, attached_to
from maskc.ir.nodes import Index, Load, walk
from maskc.ir.types import Ix
from maskc.program import compile_mask

ROWS, TOKENS = 2, 24

POSITIONS = frozenset({Ix.Q, Ix.K, Ix.Q_IDX, Ix.KV_IDX})


def rows_and_tokens(model: nn.Module) -> tuple[int, int]:
    """Return how many rows of text a model can be run on, and of how many tokens.

    Two rows of a few tokens show how a model attends; the tensors of an attached program may be of
    another batch, or shorter.
    """
    rows, tokens = {1}, {TOKENS}
    attached = {id(one): one for one in map(attached_to, model.modules()) if one is not None}
    for one in attached.values():
        for index, size in _sizes(one):
            (rows if index is Ix.BATCH else tokens).add(size)
    most = max(rows)
    return most if most > 1 else ROWS, min(size for size in tokens if size > 1)


def _sizes(attached: Attached) -> Iterator[tuple[Ix, int]]:
    """Yield the sizes of tensors along the batch, and along positions."""
    program = compile_mask(attached.text, empty_rows=attached.empty_rows)
    for load in walk(*program.module.roots):
        if not isinstance(load, Load) or load.input.name not in attached.inputs:
            continue
        shape = _shape(attached.inputs[load.input.name])
        rest = len(shape) - len(load.indices)
        if rest == 1:
            yield Ix.BATCH, shape[0]
        for term, size in zip(load.indices, shape[rest:], strict=False):
            match term:
                case Index(Ix.BATCH as index):
                    yield index, size
                case Index(index) if index in POSITIONS:
                    yield index, size


def _shape(given: Any) -> tuple[int, ...]:
    """Return the shape of what passes for a tensor, which binding it looks at more closely."""
    try:
        return tuple(torch.as_tensor(given).shape)
    except (TypeError, ValueError, RuntimeError):
        return ()
