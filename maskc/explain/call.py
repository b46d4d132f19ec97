"""What one call of a program costs, in numbers: the backend, the tiles, the bytes of masks."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from maskc.analysis.scores.score_class import Identity
from maskc.explain.program import render
from maskc.ir.nodes import TRUE
from maskc.ir.types import Sz
from maskc.lower import flex
from maskc.lower.fold_factors import remaining
from maskc.lower.plan import Plan
from maskc.run import backends as dispatch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.attention.flex_attention import BlockMask

    from maskc.run.bound import Bound

WIDTH = 64
"""Of q, k and v where none are given."""

Qkv = tuple["Tensor", "Tensor", "Tensor"]


def explain_call(bound: Bound, plan: Plan | None, qkv: Qkv | None) -> str:
    """Return the explanation.

    Args:
        bound: the binding.
        plan: its program over tensors; None while inputs are left to the call.
        qkv: the tensors of the call; None for float32 of width 64.

    """
    sizes = bound.request.sizes
    late = ", ".join(bound.late)
    topics = {
        "sizes": [", ".join(f"{size.value} {count}" for size, count in sizes.items())],
        "device": [str(bound.request.device)],
        "left to call": [f"{late}: give them to `explain` for what depends on them"]
        if plan is None
        else [],
        "tiles": _tiles(bound),
        "flex": [_tables(bound), *_ranges(bound)],
    }
    if plan is not None:
        qkv = qkv or _stand_ins(bound)
        choice = dispatch.choose(plan, qkv)
        topics["flex"] += _limits(plan, qkv)
        topics["sdpa"] = [_dense(plan, qkv[0].element_size())]
        topics["auto"] = [f"{choice.backend}: {choice.reason}"]
    elements = prod(sizes[size] for size in (Sz.BATCH_SIZE, Sz.NUM_HEADS, Sz.Q_LEN, Sz.KV_LEN))
    topics["reference"] = [f"dense scores, {describe_bytes(4 * elements)}, twice that in float64"]
    return render(topics)


def describe_bytes(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def _stand_ins(bound: Bound) -> Qkv:
    """Return tensors of the shapes of the call, which take no memory."""
    import torch

    sizes = bound.request.sizes
    one = torch.zeros((), device=bound.request.device)
    q, k = (
        one.expand(sizes[Sz.BATCH_SIZE], sizes[heads], sizes[length], WIDTH)
        for heads, length in ((Sz.NUM_HEADS, Sz.Q_LEN), (Sz.NUM_KV_HEADS, Sz.KV_LEN))
    )
    return q, k, k


def _tiles(bound: Bound) -> list[str]:
    if bound.block_mask is None:
        return []
    tiles = bound.tiles
    high, wide = bound.block_mask.BLOCK_SIZE
    lines = [
        f"{tiles.full} full, {tiles.partial} partial, {tiles.empty} empty, of {high} x {wide}; "
        f"{bound.sparsity:.3g} % are skipped"
    ]
    return lines + [f"{count} decided by {step}" for step, count in tiles.decided.items() if count]


def _tables(bound: Bound) -> str:
    block_mask = bound.block_mask
    return (
        "no block mask"
        if block_mask is None
        else f"block tables, {describe_bytes(_bytes(block_mask))}"
    )


def _ranges(bound: Bound) -> list[str]:
    if not bound.has_key_ranges:
        return []
    return ["equal ids stand side by side: they are a range of keys for each query"]


def _limits(plan: Plan, qkv: Qkv) -> list[str]:
    """Tell what keeps flex from a compiled kernel: it refuses, or keeps dense scores."""
    refused = flex.refusal(plan, qkv)
    if refused is not None:
        return [f"refuses the call: {refused.message}"]
    device, dtype = qkv[0].device.type, qkv[0].dtype
    if not flex.compiles(device, dtype, plan.facts.reads_lse):
        return ["runs uncompiled here, with dense scores as the reference has them"]
    if not flex.compiles(device, dtype, True):
        return ["with `return_lse=True` it runs uncompiled, with dense scores"]
    return []


def _bytes(block_mask: BlockMask) -> int:
    """Return the bytes of a block mask's tables; those that share memory count once."""
    tables = [
        getattr(block_mask, f"{full}{name}")
        for name in ("kv_num_blocks", "kv_indices", "q_num_blocks", "q_indices")
        for full in ("", "full_")
    ]
    stored = {t.untyped_storage().data_ptr(): t for t in tables if t is not None}
    return sum(table.untyped_storage().nbytes() for table in stored.values())


def _dense(plan: Plan, element_size: int) -> str:
    """Tell the mask that SDPA gets."""
    if dispatch.is_maskless(plan):
        return f"attn_mask=None, is_causal={plan.module.mask != TRUE}; no memory"
    is_boolean = isinstance(remaining(plan), Identity)
    size = dispatch.dense_elements(plan) * (1 if is_boolean else element_size)
    return f"a {'boolean' if is_boolean else 'float'} attn_mask, {describe_bytes(size)}"
