"""Programs of the mask functions that transformers composes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from maskc.integrations.transformers.forward.symbols import (
    MaskFunction,
    Reading,
    UnreadableError,
    read,
)
from maskc.ir.in_trace import in_trace
from maskc.tracing import trace

DENSE = "input allowed: bool\nallowed[head, q_idx, kv_idx]"


@dataclass(frozen=True, slots=True)
class Derived:
    """A mask as a program.

    Attributes:
        text: the program that a mask function computes.
        inputs: the tensors that it reads, by their names in the program.

    """

    text: str
    inputs: dict[str, Tensor]


def derive(mask_function: MaskFunction) -> Derived:
    """Return the program of a mask function ``(batch, head, q, k)``.

    Raises:
        TraceError: it does what no program says.

    """
    try:
        reading = _read_once(mask_function) if _is_closed(mask_function) else read(mask_function)
    except UnreadableError:
        if in_trace():
            raise
        traced = trace(mask_function)
        return Derived(traced.program.text, dict(traced.inputs))
    return Derived(reading.text, reading.tables)


def _is_closed(mask_function: MaskFunction) -> bool:
    """Tell whether a function reads its arguments alone, and so says the same at any time."""
    if in_trace() or type(mask_function) is not FunctionType:
        return False
    defaults = mask_function.__defaults__ or mask_function.__kwdefaults__
    code = mask_function.__code__
    return not (defaults or code.co_freevars or code.co_names)


@lru_cache(maxsize=64)
def _read_once(mask_function: MaskFunction) -> Reading:
    return read(mask_function)


def derive_in_graph(
    mask_function: MaskFunction,
    sizes: tuple[int, int, int],
    offsets: tuple[Any, Any],
    device: torch.device | str,
) -> Derived:
    """Return the program of a mask function inside of a graph, where ``maskc.trace`` cannot run.

    What symbols do not follow is evaluated at every pair, as transformers does for its own masks.

    Args:
        mask_function: the mask function.
        sizes: batches, queries and keys.
        offsets: the first position of the queries, and of the keys; tensors, or numbers, of which
            no tensor is made, since the graph would be one for that number alone.
        device: of the model.

    """
    try:
        return derive(mask_function)
    except UnreadableError:
        batch, q_len, kv_len = sizes
        dense = mask_function(
            torch.arange(batch, device=device)[:, None, None, None],
            torch.zeros((1, 1, 1, 1), dtype=torch.int64, device=device),
            (torch.arange(q_len, device=device) + offsets[0])[None, None, :, None],
            (torch.arange(kv_len, device=device) + offsets[1])[None, None, None, :],
        )
        return Derived(DENSE, {"allowed": dense.expand(batch, 1, q_len, kv_len)})
