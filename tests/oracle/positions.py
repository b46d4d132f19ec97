"""Indices, coordinates and distances, and tables that are read by one of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from oracle.arithmetic import minus
from oracle.draw import Draw
from oracle.tables import table
from oracle.terms import Term, World, apply


def index(draw: Draw, which: str) -> Term:
    """Return an index by its name in the language."""
    call = draw.call
    largest = {
        "q": call.q_extent,
        "k": call.k_extent,
        "q_idx": call.q_len,
        "kv_idx": call.kv_len,
        "batch": call.batch_size,
    }
    group = call.num_heads // call.num_kv_heads
    aliases = {"k": ["k", "k", "kv"], "batch": ["batch", "b"]}
    text = draw.rng.choice(aliases.get(which, [which]))

    def formula(world: World) -> Tensor:
        if which == "kv_head":
            return world.head // group
        found: Tensor = getattr(world, which)
        return found

    bits = largest.get(which, call.model_heads).bit_length()
    return Term(text, formula, whole=bits)


def position(draw: Draw) -> Term:
    """Draw a position of a query or a key."""
    names = ["q", "q_idx"] if draw.rows_only else ["q", "q", "q", "k", "k", "k", "q_idx", "kv_idx"]
    return index(draw, draw.rng.choice(names))


def distance(draw: Draw) -> Term:
    """Return ``q - k`` or ``k - q``."""
    ends = [index(draw, "q"), index(draw, "k")]
    if draw.rows_only:
        ends = [index(draw, "q"), index(draw, "q_idx")]
    draw.rng.shuffle(ends)
    return minus(*ends)


def coordinate(draw: Draw, side: str, axis: str | None = None) -> Term:
    """Return where a token lies along an axis of the grid, -1 outside; a position without one."""
    if not draw.axes:
        return index(draw, side)
    name, size, stride = next(
        (one for one in draw.axes if one[0] == axis), draw.rng.choice(draw.axes)
    )
    count = draw.axes[0][1] * draw.axes[0][2]
    start = draw.start

    def meaning(position: Tensor) -> Tensor:
        token = position - start
        inside = (token >= 0) & (token < count)
        along = torch.div(token, stride, rounding_mode="floor") % size
        return torch.where(inside, along, -1)

    found = apply(f"{side}.{name}", meaning, index(draw, side))
    return replace(found, uses=frozenset(["axis"]), whole=size.bit_length(), part=0)


def one_subscript(draw: Draw, kind: str, **ranges: int) -> Term:
    """Declare a table and read it by one position, head or batch, or with no subscript."""
    call, rng = draw.call, draw.rng
    sides = ["q"] if draw.rows_only else ["q", "k", "kv_idx"]
    which = rng.choice([*sides, *sides, "q_idx", "head", "head", "kv_head", "batch", ""])
    heads = call.num_kv_heads if which == "kv_head" else call.num_heads
    if call.head_offset:
        heads = call.model_heads
    extents = {
        "q": call.q_extent, "k": call.k_extent, "q_idx": call.q_len, "kv_idx": call.kv_len,
        "batch": call.batch_size, "head": heads, "kv_head": heads,
    }  # fmt: skip
    if not which:
        return table(draw, kind, **ranges).read()
    slack = rng.choice([0, 0, 3]) if which in ("q", "k") else 0
    dims = 1 if draw.chance(0.1) else extents[which] + slack
    batched = False if which == "batch" else None
    return table(draw, kind, dims, batched=batched, **ranges).read(index(draw, which))
