"""What one call of a program costs, in numbers: the backend, the tiles, the bytes of masks."""

from __future__ import annotations

import torch

from maskc.binding.call import CallSpec
from maskc.blocks.mask_blocks import MaskBlocks
from maskc.ir.nodes import Expr, Index, rewrite
from maskc.ir.rows import K_POSITION, KV_ROW, Q_POSITION, Q_ROW
from maskc.ir.text import expr_text
from maskc.ir.types import Ix, Sz
from maskc.lower import flex, sdpa
from maskc.lower.attention_call import AttentionCall, Blocks
from maskc.lower.plan import Plan
from maskc.run.advice import advice
from maskc.run.backends import AUTO, BACKENDS, choose
from maskc.topics import render

WIDTH = 64
"""Of q, k and v where none are given."""

FIRST_CALL = "the first call of a shape compiles a kernel, 3 to 20 s; torch keeps it on disk"

SECONDS_A_TERM = 2e-9
"""To evaluate one term of a mask at one pair, on one CPU core (torch 2.13)."""

WORTH_TELLING = 0.2
"""Seconds; what takes less is not listed."""


def explain_call(
    spec: CallSpec,
    tiles: MaskBlocks | None,
    missing: tuple[str, ...],
    plan: Plan | None,
    call: AttentionCall,
) -> str:
    """Return the explanation.

    Args:
        spec: sizes and device.
        tiles: those of the mask; None where nothing is masked.
        missing: the inputs that are still left to the call.
        plan: the bound program; None if some are missing.
        call: the tensors of the call.

    """
    left = f"{', '.join(missing)}: give them to `explain` for what depends on them"
    topics = {
        "sizes": [", ".join(f"{size.value} {count}" for size, count in spec.sizes.items())],
        "device": [str(spec.device)],
        "left to call": [left] if missing else [],
        "here": [] if plan is None else _left(plan),
        "tiles": [] if tiles is None else _tiles(tiles),
        **{name: backend.explain(plan, call) for name, backend in BACKENDS.items()},
    }
    if plan is not None:
        choice = choose(plan, call)
        topics[AUTO] = [f"{choice.backend}: {choice.reason}"]
        topics["takes long"] = _slow(choice.backend, plan, call)
    topics["advice"] = [] if tiles is None else advice(spec, tiles)
    return render(topics)


def stand_ins(spec: CallSpec, blocks: Blocks) -> AttentionCall:
    """Return a call of float32 tensors of width 64, which take no memory."""
    sizes = spec.sizes
    one = torch.zeros((), device=spec.device)
    q, k = (
        one.expand(sizes[Sz.BATCH_SIZE], sizes[heads], sizes[length], WIDTH)
        for heads, length in ((Sz.NUM_HEADS, Sz.Q_LEN), (Sz.NUM_KV_HEADS, Sz.KV_LEN))
    )
    return AttentionCall(q, k, k, blocks)


def _left(plan: Plan) -> list[str]:
    """Return what sizes, offsets and tensors leave of the mask, if that is less than all."""
    if plan.written is None or plan.module.mask == plan.written:
        return []
    return [f"in this call the mask is `{expr_text(_in_positions(plan))}`"]


def _in_positions(plan: Plan) -> Expr:
    """Return the mask in the names of the program where each position is that of its row."""
    moved = {Q_POSITION.name, K_POSITION.name} & plan.domain.tensors.keys()
    names: dict[Expr, Expr] = {} if moved else {Q_ROW: Index(Ix.Q), KV_ROW: Index(Ix.K)}
    return rewrite(plan.module.mask, names.get)


def _slow(backend: str, plan: Plan, call: AttentionCall) -> list[str]:
    """Return what of a call a person would wait for; kernels of a usual size are not listed."""
    if backend == "flex":
        return [FIRST_CALL] if flex.compiles(call.q, plan.facts.reads_lse) else []
    seconds = sdpa.mask_elements(plan) * plan.module.mask.weight * SECONDS_A_TERM
    if backend != "sdpa" or sdpa.is_maskless(plan) or seconds < WORTH_TELLING:
        return []
    return [f"the mask tensor, about {seconds:.2g} s to make, once for all layers if it is kept"]


def _tiles(tiles: MaskBlocks) -> list[str]:
    counts, (high, wide) = tiles.counts, tiles.tile_map.grid.block
    lines = [
        f"{counts.full} full, {counts.partial} partial, {counts.empty} empty, of {high} x {wide}; "
        f"{100 * tiles.tile_map.sparsity:.3g} % are skipped"
    ]
    keys = tiles.key_ranges
    if keys is not None:
        lines.append(f"the mask allows {100 * keys.counts.mean() / keys.k_len:.3g} % of all pairs")
    return lines
