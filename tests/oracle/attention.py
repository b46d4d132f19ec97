"""Attention as one formula in float64: what every backend must give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oracle.call import Call
from oracle.programs import Program, mask_of
from oracle.terms import World, float_of, world_of


@dataclass(frozen=True, slots=True)
class Expected:
    """What a program gives for a call.

    Attributes:
        mask: where a query attends, after the policy for rows without a key.
        empty: which rows have no key, before the policy, ``[B, H, Q]``.
        out: the output, ``[B, H, Q, D]``; ``lse`` the log-sum-exp, ``[B, H, Q]``.
        weights: the probabilities, before the epilogue.
        plain_out: the output before the epilogue.
        largest: the size of the largest score, by which rounding grows.
        nearest: how near a decision was that rounding could turn.

    """

    mask: Tensor
    empty: Tensor
    out: Tensor
    lse: Tensor
    weights: Tensor
    plain_out: Tensor
    largest: float
    nearest: float


def tensors_of(call: Call, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k and v in the call's dtype."""
    generator = torch.Generator().manual_seed(seed)
    queries = (call.batch_size, call.num_heads, call.q_len, call.width)
    keys = (call.batch_size, call.num_kv_heads, call.kv_len, call.width)
    q, k, v = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(call.dtype)
        for shape in (queries, keys, keys)
    )
    return q, k, v


def attend(program: Program, q: Tensor, k: Tensor, v: Tensor) -> Expected:
    """Return what a program gives, computed in doubles over all pairs."""
    call = program.call
    world = world_of(call)
    mask = mask_of(program, world)
    empty = ~mask.any(-1)
    if call.empty_rows == "all":
        mask = mask | empty[..., None]
    group = call.num_heads // call.num_kv_heads
    q, k, v = float_of(q), *(float_of(x).repeat_interleave(group, 1) for x in (k, v))
    scale = call.width**-0.5 if call.scale is None else call.scale
    world.given["score"] = torch.einsum("bhqd,bhkd->bhqk", q, k) * scale
    for step in program.steps:
        world.given["score"] = step.value.formula(world).double().expand(mask.shape)
    scores = world.given["score"]
    held = torch.where(mask, scores, -math.inf)
    top = held.detach().amax(-1, keepdim=True)
    top = torch.where(top == -math.inf, 0.0, top)
    terms = (held - top).exp()
    total = terms.sum(-1, keepdim=True)
    weights = terms / total.clamp(min=0.5)  # a row with a key has a term of 1
    lse = (total.log() + top).squeeze(-1)
    plain = torch.einsum("bhqk,bhkd->bhqd", weights, v)
    out = _finish(program, world, plain, lse)
    if call.empty_rows == "nan":
        out, plain = (torch.where(empty[..., None], math.nan, x) for x in (out, plain))
        weights = torch.where(empty[..., None], math.nan, weights)
    largest = float(torch.where(mask, scores, 0.0).abs().max())
    return Expected(mask, empty, out, lse, weights, plain, largest, world.nearest)


def _finish(program: Program, world: World, out: Tensor, lse: Tensor) -> Tensor:
    if program.out is None:
        return out
    world.given |= {"out": out, "lse": lse[..., None]}
    return program.out.formula(world).expand(out.shape)
