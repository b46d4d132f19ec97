"""Which rank attends for which blocks of queries.

A rank waits for the busiest one, and each holds as many blocks as any other. What a block of
queries costs is the number of tiles that a kernel works on for it, which the mask tells exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush

import numpy as np

from maskc.analysis.tiles.runs import Array

Order = Array
"""Blocks by rank, int32 ``[ranks, blocks / ranks]``."""


def contiguous(cost: Array, ranks: int) -> Order:
    """Give each rank the blocks that follow those of the rank before it."""
    return np.arange(len(cost), dtype=np.int32).reshape(ranks, -1)


def headtail(cost: Array, ranks: int) -> Order:
    """Give each rank a chunk from the head of the sequence and its mirror image from the tail.

    This is the default of torch's context parallelism. It balances causal masks, whose rows cost
    more the later they are, and no others. Where the blocks of a rank are odd in number, the middle
    ones are dealt out in order.
    """
    half = len(cost) // ranks // 2
    blocks = np.arange(len(cost), dtype=np.int32)
    head = blocks[: ranks * half].reshape(ranks, half)
    tail = blocks[len(cost) - ranks * half :].reshape(ranks, half)[::-1]
    middle = blocks[ranks * half : len(cost) - ranks * half].reshape(ranks, -1)
    return np.concatenate([head, middle, tail], axis=1)


def lpt(cost: Array, ranks: int) -> Order:
    """Give the costliest block that is left to the least busy rank that has room.

    The rule is Graham's longest processing time (1969), with equal counts. The blocks of a rank
    ascend, so that documents stay together where they can.
    """
    room = len(cost) // ranks
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    heap = [(0, rank) for rank in range(ranks)]
    heapify(heap)
    costs = cost.tolist()
    for block in np.argsort(-cost, kind="stable").tolist():
        busy, rank = heappop(heap)
        chosen[rank].append(block)
        if len(chosen[rank]) < room:
            heappush(heap, (busy + costs[block], rank))
    return np.sort(np.array(chosen, np.int32), axis=1)


ORDERS: Mapping[str, Callable[[Array, int], Order]] = {
    "lpt": lpt,
    "contiguous": contiguous,
    "headtail": headtail,
}
"""Every order that has a name."""
