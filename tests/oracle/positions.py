"""Indices, coordinates and distances, and tables that are read by one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from oracle.arithmetic import minus
from oracle.draw import Draw
from oracle.tables import table
from oracle.terms import Level, Term, World, apply, call_of, constant


def index(draw: Draw, which: str) -> Term:
    """Return an index by its name in the language."""
    call = draw.call
    largest = {
        "q": call.furthest,
        "k": call.furthest,
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


def entry(draw: Draw, which: str) -> Term:
    """Return an index as the subscript of a table, which has no entries below 0."""
    found = index(draw, which)
    if which not in draw.call.below:
        return found
    return call_of("max", torch.maximum, found, constant(0)).sized(found.whole, 0)


def guarded(draw: Draw, read: Callable[..., Term], *sides: str) -> Term:
    """Return a bool that is read by positions, false where one of them is below 0.

    Args:
        draw: what is drawn so far.
        read: takes a subscript for each side, and gives the term.
        *sides: the names of the positions.

    """
    below = [side for side in sides if side in draw.call.below]
    ends = [index(draw, side) for side in sides]
    if not below:
        return read(*ends)
    within = [
        replace(end, formula=lambda world, end=end: end.formula(world).clamp(min=0)) for end in ends
    ]
    found = read(*within)
    tests = " & ".join(f"{side} >= 0" for side in below)

    def formula(world: World) -> Tensor:
        inside = torch.tensor(True)
        for side in below:
            inside = inside & (getattr(world, side) >= 0)
        return inside & found.formula(world)

    return Term(f"{tests} & {found.at(Level.NOT)}", formula, Level.AND, found.uses)


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
    return table(draw, kind, dims, batched=batched, **ranges).read(entry(draw, which))
