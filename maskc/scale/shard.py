"""A rank's part of a plan as an ordinary binding, whose rows have positions of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from maskc.binding.call import call_spec, device_of
from maskc.binding.flags import check_flag
from maskc.binding.inputs import as_tensors, known
from maskc.binding.plain import check_plain
from maskc.binding.relocate import batch_sizes, sliced
from maskc.compiled import Compiled
from maskc.errors import BindError, LoweringError
from maskc.ir.nodes import TopK, walk
from maskc.run.bound import Bound
from maskc.scale.plan import Plan
from maskc.scale.whole import local_program


def shard(
    program: Compiled,
    plan: Plan,
    rank: int,
    given: Mapping[str, Any],
    *,
    permuted_kv: bool,
    batch_offset: int,
    batch_size: int,
    num_heads: int,
    num_kv_heads: int | None,
    device: Any,
    **call: Any,
) -> Bound:
    """Bind a program to the rows of one rank; see ``Program.shard``.

    Raises:
        BindError: there is no such rank or batch, or an input does not fit.
        LoweringError: the program breaks ties by the order of keys, which the plan changes.

    """
    program.refuse_open()
    known(given, [declared.name for declared in program.inputs])
    _check_plan(plan)
    _check_rank(plan, rank)
    check_flag("permuted_kv", permuted_kv)
    _check_offset(batch_offset)
    place = device_of(device, given)
    rows = _rows("q", plan.positions[rank], place)
    keys = _rows("kv", plan.positions.flatten(), place) if permuted_kv else {"kv_offset": 0}
    if "kv_positions" in keys:
        _refuse_ties(program)
    spec = call_spec(
        q_len=plan.seq_len // plan.ranks,
        kv_len=plan.seq_len,
        device=place,
        batch_size=batch_size,
        num_heads=num_heads,
        block_size=plan.block_size,
        backward=True,
        num_kv_heads=num_heads if num_kv_heads is None else num_kv_heads,
        **{"q_offset": 0, "q_positions": None, "kv_offset": 0, "kv_positions": None}
        | rows
        | keys
        | call,
    )
    local = local_program(program, plan.seq_len, given.keys())
    stop = batch_offset + batch_size
    batches = batch_sizes(local.module.roots, given)
    if batch_offset == 0 and all(size <= batch_size for size in batches.values()):
        return Bound(local, spec, given)
    _check_batches(batches, batch_offset, stop)
    whole = as_tensors(given, place)
    for name, tensor in whole.items():
        if isinstance(tensor, torch.Tensor):
            check_plain(name, tensor, "M412")
    return Bound(local, *sliced(local.module.roots, spec, whole, batch_offset, stop))


def _rows(side: str, positions: Tensor, device: torch.device) -> dict[str, Any]:
    """Return positions as ``bind`` takes them: an offset where they follow each other."""
    first = int(positions[0])
    if torch.equal(positions, torch.arange(first, first + len(positions), dtype=torch.int32)):
        return {f"{side}_offset": first}
    return {f"{side}_positions": positions.to(device)}


def _check_rank(plan: Plan, rank: Any) -> None:
    if type(rank) is not int or not 0 <= rank < plan.ranks:
        message = f"`rank` is an int from 0 to {plan.ranks - 1}, found {rank!r}"
        raise BindError("M443", message, help="plan for as many ranks as there are")


def _check_plan(plan: Any) -> None:
    if not isinstance(plan, Plan):
        message = f"`plan` is what `Program.plan` returns, found {type(plan).__name__}"
        raise BindError("M442", message, help="`program.shard(program.plan(seq_len, ranks), rank)`")


def _check_offset(start: Any) -> None:
    if type(start) is not int or start < 0:
        message = f"`batch_offset` is an int of at least 0, found {start!r}"
        raise BindError("M444", message, help="batches count from 0")


def _check_batches(batches: Mapping[str, int], start: int, stop: int) -> None:
    for name, size in batches.items():
        if size < stop:
            message = f"input `{name}` has {size} batches, this call reads {start} to {stop}"
            raise BindError("M444", message, help="give the inputs of all batches")


def _refuse_ties(program: Compiled) -> None:
    """Refuse selections among keys that stand in another order, where another key wins a tie."""
    for term in walk(*program.module.roots):
        if isinstance(term, TopK):
            raise LoweringError(
                "M520",
                "`topk` breaks ties by the order of keys, which the plan changes",
                term.span,
                "take keys and values in the sequence's order: `permuted_kv=False`",
            )
