"""Forms of one mask or score whose kernels are compared: what the lowering could write, and twins.

In each group the first form is maskc's. The others are alternatives that the lowering does not
take, or twins: the functions that one writes by hand, after the formulas of attention-gym
(https://github.com/meta-pytorch/attention-gym) and of the papers named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

LENGTH, HEADS = 4096, 2
GRID, REACH = 64, 6
HALF, SIZE = LENGTH // 2, 32
Mod = Callable[..., Tensor]


@dataclass(frozen=True)
class Form:
    """A kernel: a program, or functions written by hand over the block mask of a program.

    Functions by hand capture no tensors.
    """

    group: str
    name: str
    text: str
    inputs: dict[str, Tensor] = field(default_factory=dict)
    mask_mod: Mod | None = None
    score_mod: Mod | None = None


def forms() -> Iterator[Form]:
    """Yield the forms, group by group."""
    yield from choices()
    yield from biases()
    yield from mask_twins()
    yield from score_twins()


def documents(shuffled: bool) -> Tensor:
    """Return document ids, in runs of 300 tokens or in any order."""
    doc = torch.arange(LENGTH) // 300
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(0))
    return doc[order] if shuffled else doc


def choices() -> Iterator[Form]:
    """Yield ways to write one mask."""
    packed = "causal & same_doc"
    yield Form("documents", "ranges of keys", packed, {"doc": documents(False)})
    yield Form("documents", "ids of 32 bits", packed, {"doc": documents(True).int()})
    yield Form("documents", "ids of 64 bits", packed, {"doc": documents(True)})
    blocks = "q // 8 == k // 8"
    yield Form("blocks", "bounds of the key", blocks)
    yield Form("blocks", "quotients", blocks, mask_mod=lambda b, h, q, k: q // 8 == k // 8)
    yield Form("blocks", "bounds, of 7", "q // 7 == k // 7")
    yield Form(
        "blocks",
        "quotients, of 7",
        "q // 7 == k // 7",
        mask_mod=lambda b, h, q, k: q // 7 == k // 7,
    )
    local = "causal & window(512)"
    yield Form("distance", "query moved", local)
    yield Form(
        "distance", "difference", local, mask_mod=lambda b, h, q, k: (k <= q) & (q - k < 512)
    )
    phase = "causal & (q - k) % 4 == 0"
    yield Form("phase", "bits", phase)
    yield Form(
        "phase", "remainder", phase, mask_mod=lambda b, h, q, k: (k <= q) & ((q - k) % 4 == 0)
    )
    half = f"(q >= {HALF}) == (k >= {HALF})"
    yield Form("booleans", "compared", half)
    yield Form(
        "booleans",
        "where",
        half,
        mask_mod=lambda b, h, q, k: torch.where(q >= HALF, k >= HALF, k < HALF),
    )
    either = "causal & (window(512) if k % 128 < 64 else true)"
    yield Form("where", "or", either)
    yield Form(
        "where",
        "where",
        either,
        mask_mod=lambda b, h, q, k: (k <= q) & torch.where(k % 128 < 64, q - k < 512, k >= 0),
    )


def biases() -> Iterator[Form]:
    """Yield a bias as tables, and as a formula."""
    near = "input t: float; causal; score = score + t[head, clamp(q - k, 0, 511)]"
    yield Form("bias", "by distance", near, {"t": torch.randn(HEADS, 512)})
    whole = "input t: float; causal; score = score + t[head, q, k]"
    yield Form("bias", "by pair", whole, {"t": torch.randn(HEADS, LENGTH, LENGTH)})
    t5 = "input t: float; causal; score = score + t[head, t5_bucket(k - q, 32, 128, false)]"
    yield Form("bias", "formula, T5", t5, {"t": torch.randn(HEADS, 32)})


def mask_twins() -> Iterator[Form]:
    """Yield masks and their twins."""
    yield from pair("causal", "causal", lambda b, h, q, k: q >= k)
    window = lambda b, h, q, k: (q >= k) & (q - k < 512)  # noqa: E731
    yield from pair("window", "causal & window(512)", window)
    yield from pair("prefix", "causal | k < 700", lambda b, h, q, k: (k < 700) | (q >= k))
    dilated = lambda b, h, q, k: (q >= k) & (q - k < 512) & ((q - k) % 4 == 0)  # noqa: E731
    yield from pair("dilated", "causal & window(512) & (q - k) % 4 == 0", dilated)
    chunked = lambda b, h, q, k: (q >= k) & (q // 1024 == k // 1024)  # noqa: E731
    yield from pair("chunked", "causal & chunked(1024)", chunked)
    sinks = lambda b, h, q, k: (q >= k) & ((q - k < 512) | (k < 4))  # noqa: E731
    yield from pair("streaming", "causal & (window(512) | sinks(4))", sinks)
    grid = f"axis h = {GRID}, w = {GRID}; natten(h, {2 * REACH + 1}) & natten(w, {2 * REACH + 1})"
    yield from pair("natten", grid, natten)
    yield from pair("diffusion", f"block_diffusion({HALF}, {SIZE})", diffusion)


def score_twins() -> Iterator[Form]:
    """Yield scores and their twins."""
    capped = "causal; score = softcap(score, 30)"
    yield from pair("softcap", capped, causal, lambda s, b, h, q, k: 30 * torch.tanh(s / 30))
    slopes = {"slopes": torch.tensor([0.5, 0.25])}
    ours, twin = pair(
        *("alibi", "causal; score = score + alibi", causal),
        lambda s, b, h, q, k: s + torch.exp2(-((h + 1) * 8.0 / HEADS)) * (k - q),
    )
    for form in (ours, twin):
        yield Form(form.group, form.name, form.text, slopes, form.mask_mod, form.score_mod)
    relative = lambda s, b, h, q, k: s + (q - k)  # noqa: E731
    yield from pair("relative", "causal; score = score + (q - k)", causal, relative)


def pair(group: str, text: str, mask_mod: Mod, score_mod: Mod | None = None) -> Iterator[Form]:
    """Yield ours, then the twin."""
    yield Form(group, "ours", text)
    yield Form(group, "by hand", text, {}, mask_mod, score_mod)


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return whether a key is not after its query."""
    return q >= k


def natten(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return neighborhood attention in two dimensions (arXiv:2204.07143)."""
    row, column = q // GRID, q % GRID
    row, column = (x.clamp(REACH, GRID - 1 - REACH) for x in (row, column))
    return ((row - k // GRID).abs() <= REACH) & ((column - k % GRID).abs() <= REACH)


def diffusion(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return the training mask of block diffusion (arXiv:2503.09573)."""
    clean_q, clean_k = q >= HALF, k >= HALF
    block_q = torch.where(clean_q, (q - HALF) // SIZE, q // SIZE)
    block_k = torch.where(clean_k, (k - HALF) // SIZE, k // SIZE)
    diagonal = (block_q == block_k) & (clean_q == clean_k)
    offset = (block_q > block_k) & clean_k & ~clean_q
    return diagonal | offset | ((block_q >= block_k) & clean_k & clean_q)
