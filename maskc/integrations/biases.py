"""Tensors for the positional biases of the standard library: slopes, tables, projections of q.

Pure functions of tensors, for users under the names of ``maskc.integrations.inputs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from maskc.errors import BindError
from maskc.integrations.given import count_of


def alibi_slopes(num_heads: int) -> Tensor:
    """Return ``slopes`` as ALiBi has them, also for head counts that are no power of two.

    For ``n = 2**m`` heads they are ``2**(-8 i / n)``, ``i = 1 .. n``; else those of the largest
    power of two below, and then every other one of the next power of two (arXiv:2108.12409 and its
    code).

    Returns:
        float32 ``[num_heads]``.

    """
    num_heads = count_of("num_heads", num_heads, 1)
    whole = 2 ** (num_heads.bit_length() - 1)
    slopes = [2 ** (-8 * i / whole) for i in range(1, whole + 1)]
    slopes += [2 ** (-4 * i / whole) for i in range(1, 2 * whole, 2)]
    return torch.tensor(slopes[:num_heads])


def decomposed_rel_pos(
    q: Tensor, tables: Mapping[str, Tensor], grid: Mapping[str, int], *, start: int = 0
) -> dict[str, Tensor]:
    """Return the inputs of ``relpos``: ``rel_h``, ``rel_w``, ... for axes ``h``, ``w``, ...

    Each is the product of the query and the table's row for the distance of their coordinates,
    ``own - other + size - 1`` (MViTv2, arXiv:2112.01526; SAM). Pass the *unscaled* q: the bias is
    added to the scaled score.

    Args:
        q: queries ``[B, H, Q, D]``.
        tables: for each axis ``[2 * size - 1, D]``.
        grid: the size of each axis, the last one fastest.
        start: how many tokens (class, text) stand in front of the grid; theirs is 0.

    Returns:
        ``{"rel_h": [B, H, Q, h], ...}``, differentiable in q and the tables.

    Raises:
        BindError: a table is missing or has another shape, or the grid is not q's.

    """
    tokens = math.prod(grid.values())
    if q.dim() != 4 or q.shape[2] < start + tokens:
        shape = " x ".join(map(str, grid.values()))
        message = f"q has shape {list(q.shape)}, expected {start} + {shape} tokens"
        raise BindError("M430", message, help="[batch, heads, tokens, width]")
    result: dict[str, Tensor] = {}
    stride = tokens
    for axis, size in grid.items():
        stride //= size
        table = _rel_table(axis, tables, size, q.shape[3])
        own = torch.arange(tokens, device=q.device) // stride % size
        rows = own[:, None] - torch.arange(size, device=q.device) + size - 1
        inside = q[:, :, start : start + tokens]
        bias = torch.einsum("bhqd,qkd->bhqk", inside, table[rows])
        behind = q.shape[2] - start - tokens
        result[f"rel_{axis}"] = torch.nn.functional.pad(bias, (0, 0, start, behind))
    return result


def shaw_scores(q: Tensor, table: Tensor, scale: float | None = None) -> Tensor:
    """Return ``rel_q``: each query times each relative key (Shaw et al., arXiv:1803.02155).

    Args:
        q: unscaled queries ``[B, H, Q, D]``.
        table: relative keys ``[2 * reach + 1, D]``, from ``reach`` keys before to ``reach`` after.
        scale: what the scores are scaled by, ``1 / sqrt(D)`` if None.

    Returns:
        ``[B, H, Q, 2 * reach + 1]``, differentiable.

    """
    return q @ table.mT * (q.shape[-1] ** -0.5 if scale is None else scale)


def sandwich_bias(num_heads: int, length: int, width: int = 128) -> Tensor:
    """Return a table for ``by_distance``: products of sinusoidal embeddings (Sandwich).

    Head ``h`` of ``H``, from 1, adds ``sum_i cos(distance / 10000**(2 i / width)) * H / (8 h)``
    with ``i`` below ``width / 2`` (arXiv:2212.10356).

    Returns:
        float32 ``[num_heads, length]``.

    """
    frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    distance = torch.arange(length, dtype=torch.float64)
    products = torch.cos(distance[:, None] * frequency).sum(-1)
    ratio = 8 * torch.arange(1, num_heads + 1, dtype=torch.float64) / num_heads
    return (products / ratio[:, None]).float()


def samples(
    function: Callable[[Tensor], Tensor], n: int, device: torch.device | None = None
) -> Tensor:
    """Return a table for ``sampled``: ``function`` at ``n + 1`` points of [0, 1].

    Args:
        function: a network from ``[points, 1]`` to ``[points, heads]``, such as FIRE's.
        n: the number of steps; the ``n`` of ``sampled(table, x, n)``.
        device: where the network is.

    Returns:
        ``[heads, n + 1]``, differentiable in the network's weights.

    """
    return function(torch.linspace(0, 1, n + 1, device=device)[:, None]).mT


def _rel_table(axis: str, tables: Mapping[str, Tensor], size: int, width: int) -> Tensor:
    if axis not in tables:
        raise BindError("M430", f"there is no table for axis `{axis}`")
    table = tables[axis]
    if tuple(table.shape) != (2 * size - 1, width):
        message = f"the table of axis `{axis}` has shape {list(table.shape)}"
        raise BindError("M430", f"{message}, expected [{2 * size - 1}, {width}]")
    return table
