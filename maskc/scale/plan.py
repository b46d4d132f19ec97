"""A plan: which rank attends for which blocks of a long sequence, and what that costs each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from maskc.analysis.tables.indices import counts
from maskc.analysis.tiles.runs import Array
from maskc.analysis.tiles.tile_map import TileMap
from maskc.binding.bind import bind_mask
from maskc.binding.call import call_spec, device_of
from maskc.binding.inputs import as_tensors, known
from maskc.binding.signature import call_signature
from maskc.blocks.key_ranges import with_key_ranges
from maskc.blocks.mask_blocks import tiles_of
from maskc.compiled import Compiled
from maskc.errors import BindError, did_you_mean
from maskc.scale.bars import bars
from maskc.scale.order import ORDERS, Order
from maskc.scale.whole import of_whole_sequence

if TYPE_CHECKING:
    from maskc.scale.context_parallel import PlanLoadBalancer


@dataclass(frozen=True, eq=False)
class Plan:
    """Blocks of queries by rank, the same on every process that plans the same.

    Any program can be sharded by it: the layers of a model share the plan of their heaviest mask.

    Attributes:
        seq_len: tokens of the whole sequence.
        block_size: tokens of a block, (queries, keys).
        order: the blocks of queries by rank, int32 ``[ranks, seq_len / block / ranks]``.
        row_cost: the tiles that a kernel works on for each block of queries, over all batches and
            heads that the mask tells apart, int64 ``[seq_len / block]``.
        kv_needed: the share of all keys that each rank reads, from 0 to 1.

    """

    seq_len: int
    block_size: tuple[int, int]
    order: Tensor
    row_cost: Tensor
    kv_needed: tuple[float, ...]

    @property
    def ranks(self) -> int:
        """How many ranks share the sequence."""
        return self.order.shape[0]

    @property
    def rank_cost(self) -> Tensor:
        """The tiles of each rank, int64 ``[ranks]``."""
        return self.row_cost[self.order].sum(1)

    @property
    def imbalance(self) -> float:
        """The cost of the busiest rank over the mean; 1 is the best there is."""
        cost = self.rank_cost
        total = int(cost.sum())
        return int(cost.max()) * self.ranks / total if total else 1.0

    @cached_property
    def positions(self) -> Tensor:
        """The logical positions of each rank's rows, int32 ``[ranks, seq_len / ranks]``."""
        tokens = torch.arange(self.block_size[0], dtype=torch.int32)
        return (self.order[..., None] * self.block_size[0] + tokens).flatten(1)

    def torch_load_balancer(self, device: torch.device | str = "cpu") -> PlanLoadBalancer:
        """Return this order for torch's context parallelism.

        Args:
            device: where the tensors are that torch shards.

        """
        from maskc.scale.context_parallel import PlanLoadBalancer

        return PlanLoadBalancer(self.positions.to(device))

    def __str__(self) -> str:
        """Return a line for each rank: a bar of its tiles, and its share of the keys."""
        return "\n".join(bars(self.rank_cost.tolist(), self.kv_needed))

    def __repr__(self) -> str:
        shares = f"{min(self.kv_needed):.0%} to {max(self.kv_needed):.0%} of the keys"
        return (
            f"<maskc plan: {self.seq_len} tokens over {self.ranks} ranks, busiest "
            f"{self.imbalance:.3f} of the mean, {shares} a rank>"
        )


def plan(
    program: Compiled,
    given: Mapping[str, Any],
    *,
    seq_len: int,
    ranks: int,
    block_size: int | tuple[int, int],
    balance: str | Plan | Tensor | Sequence[int],
    device: Any = None,
    **sizes: Any,
) -> Plan:
    """Plan a sequence; see ``Program.plan``.

    Raises:
        BindError: the sequence does not divide, the order is none, or an input does not fit.

    """
    program.refuse_open()
    known(given, [declared.name for declared in program.inputs])
    block = _checked_block(block_size)
    _check_division(seq_len, ranks, block[0])
    tiles = _tiles(program, given, seq_len, block, device, sizes)
    cost = _row_cost(tiles)
    order = _order(balance, cost, ranks)
    needed = tuple(_needed(tiles, order).tolist())
    return Plan(seq_len, block, torch.from_numpy(order), torch.from_numpy(cost), needed)


def share_order(plans: Sequence[Plan]) -> Plan:
    """Return the plan whose order serves several masks of one model: that of the heaviest.

    A layer is as slow as its busiest rank, so the mask that costs most counts most; balancing on a
    mixture of masks was measured to be worse than on the heaviest alone.
    """
    return max(plans, key=lambda one: int(one.row_cost.sum()))


def _checked_block(block_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (queries, keys) of a block."""
    pair = block_size if isinstance(block_size, tuple | list) else (block_size, block_size)
    fits = len(pair) == 2 and all(type(n) is int and n >= 1 for n in pair)
    if fits and pair[0] % pair[1] == 0:
        return pair[0], pair[1]
    message = (
        "`block_size` of a plan is an int, or (queries, keys) with the first a multiple of the "
        f"second, found {block_size!r}"
    )
    raise BindError("M440", message, help="keys move with their queries, in whole blocks of both")


def _check_division(seq_len: Any, ranks: Any, block: int) -> None:
    for name, value in (("seq_len", seq_len), ("ranks", ranks)):
        if type(value) is not int or value < 1:
            message = f"`{name}` is an int of at least 1, found {value!r}"
            raise BindError("M441", message, help="plan a sequence over at least one rank")
    unit = ranks * block
    if seq_len % unit:
        message = f"seq_len={seq_len} is no multiple of {ranks} ranks times blocks of {block}"
        longer = -(-seq_len // unit) * unit
        help = f"pad to {longer} tokens, with keys that the mask excludes: `& k < {seq_len}`"
        raise BindError("M441", message, help=help)


def _tiles(
    program: Compiled,
    given: Mapping[str, Any],
    seq_len: int,
    block: tuple[int, int],
    device: Any,
    sizes: Mapping[str, Any],
) -> TileMap:
    """Return the tiles of the mask over the whole sequence."""
    heads = sizes["num_heads"] if sizes["num_kv_heads"] is None else sizes["num_kv_heads"]
    spec = call_spec(
        **{**sizes, "num_kv_heads": heads},
        q_len=seq_len,
        kv_len=seq_len,
        device=device_of(device, given),
        block_size=block,
        q_offset=0,
        kv_offset=0,
        q_positions=None,
        kv_positions=None,
        compact=True,
        backward=True,
    )
    whole = as_tensors(given, spec.device)
    mask = of_whole_sequence(program.module.mask, seq_len, whole.keys())
    bound = bind_mask(call_signature((mask,), spec), spec, whole)
    return tiles_of(with_key_ranges(bound), block)


def _row_cost(tiles: TileMap) -> Array:
    """Return how many tiles of each block of queries are not empty, int64."""
    grid = tiles.grid
    rows = grid.groups * grid.blocks[0]
    result = counts(tiles.full, rows).astype(np.int64) + counts(tiles.partial, rows)
    total: Array = result.reshape(grid.groups, -1).sum(0)
    return total


def _order(balance: Any, cost: Array, ranks: int) -> Order:
    """Return an order by its name, that of another plan, or the blocks that the caller gives."""
    if isinstance(balance, str):
        if balance not in ORDERS:
            listed = ", ".join(f"`{name}`" for name in ORDERS)
            help = did_you_mean(balance, ORDERS) or f"there are {listed}, or give the blocks"
            raise BindError("M442", f"`balance` names no order, found {balance!r}", help=help)
        return ORDERS[balance](cost, ranks)
    blocks = _blocks(balance.order if isinstance(balance, Plan) else balance)
    if not np.array_equal(np.sort(blocks), np.arange(len(cost))):
        message = f"`balance` is an order's name or a permutation of the {len(cost)} blocks"
        help = "each block of queries once, rank after rank: `torch.randperm(blocks)`"
        raise BindError("M442", message, help=help)
    return blocks.astype(np.int32).reshape(ranks, -1)


def _blocks(given: Any) -> Array:
    """Return the blocks that a caller gives, one after another; none of what holds no numbers."""
    try:
        return torch.as_tensor(given).numpy(force=True).reshape(-1)
    except (TypeError, ValueError, RuntimeError):  # of a tensor without storage, or not dense, too
        return np.empty(0)


def _needed(tiles: TileMap, order: Order) -> Array:
    """Return the share of the columns that each rank has a tile in."""
    rows, columns = tiles.grid.blocks
    rank_of = np.empty(rows, np.int64)
    rank_of[order] = np.arange(len(order))[:, None]
    changes = np.zeros(len(order) * (columns + 1), np.int64)
    for runs in (tiles.full, tiles.partial):
        line = rank_of[runs.row % rows] * (columns + 1)
        changes += np.bincount(line + runs.first, minlength=len(changes))
        changes -= np.bincount(line + runs.stop, minlength=len(changes))
    held = changes.reshape(len(order), columns + 1).cumsum(1)[:, :columns] > 0
    share: Array = held.mean(1)
    return share
