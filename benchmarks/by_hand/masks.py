"""Masks to measure: as maskc text, and as the mask_mod one would write by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 128
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One mask: as maskc text, and as the mask_mod one would write by hand."""

    name: str
    text: str
    inputs: Callable[[int], Tensors]
    by_hand: Callable[[int, Tensors], MaskMod]
    batch: int = 1
    window: int | None = None
    """Set for sorted documents in a causal window: of how many keys."""


def documents(length: int, count: int, shuffled: bool) -> Tensors:
    """Return the ids of packed documents of random lengths, in order or in any order."""
    random = torch.Generator().manual_seed(0)
    count = min(count, length // 2)
    begins = torch.zeros(length, dtype=torch.int64)
    begins[torch.randperm(length - 1, generator=random)[: count - 1] + 1] = 1
    ids = begins.cumsum(0)
    return {"doc": torch.randperm(count, generator=random)[ids] if shuffled else ids}


def scattered(length: int, count: int) -> Tensor:
    """Return the ids of documents whose tokens stand in any order."""
    return torch.randint(0, count, (length,), generator=torch.Generator().manual_seed(1))


def block_table(length: int) -> Tensors:
    """Return a random table of blocks, a fifth of them true."""
    blocks = -(-length // BLOCK)
    random = torch.Generator().manual_seed(0)
    return {"t": torch.rand(blocks, blocks, generator=random) < 0.2}


def nothing(length: int) -> Tensors:
    """Return no inputs."""
    return {}


def packed(count: int, shuffled: bool) -> Case:
    """Return the causal mask of packed documents."""
    name = f"{count} documents, {'any order' if shuffled else 'sorted'}"
    return Case(
        name,
        "causal & same_doc",
        lambda n: documents(n, count, shuffled),
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    )


def natten(length: int) -> tuple[int, int]:
    """Return the height and the width of a grid of ``length`` tokens."""
    width = 1 << (length.bit_length() // 2)
    return length // width, width


def natten_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return neighborhood attention in two dimensions (arXiv:2204.07143)."""
    height, width = natten(length)

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        row, column = (q // width).clamp(6, height - 7), (q % width).clamp(6, width - 7)
        return ((row - k // width).abs() <= 6) & ((column - k % width).abs() <= 6)

    return mask_mod


def video_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return neighborhood attention in frames of 48 x 80 tokens."""

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        frame = (q // 3840 - k // 3840).abs() <= 2
        row, column = (q // 80 % 48 - k // 80 % 48).abs() <= 6, (q % 80 - k % 80).abs() <= 6
        return frame & row & column

    return mask_mod


def diffusion_by_hand(length: int, t: Tensors) -> MaskMod:
    """Return the mask of block diffusion (BD3-LM, arXiv:2503.09573)."""
    half = length // 2

    def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        noisy_q, noisy_k = q < half, k < half
        block_q, block_k = q % half // 32, k % half // 32
        diagonal = (block_q == block_k) & noisy_q & noisy_k
        offset = (block_q > block_k) & noisy_q & ~noisy_k
        return diagonal | offset | ((block_q >= block_k) & ~noisy_q & ~noisy_k)

    return mask_mod


NATTEN = (
    "axis h = {height}, w = {width}; abs(clamp(q.h, 6, {height} - 7) - k.h) <= 6 "
    "& abs(clamp(q.w, 6, {width} - 7) - k.w) <= 6"
)
DIFFUSION = (
    "let half = q_len // 2; let nq = q < half; let nk = k < half; let bq = q % half // 32; "
    "let bk = k % half // 32; (bq == bk & nq & nk) | (bq > bk & nq & !nk) | "
    "(bq >= bk & !nq & !nk)"
)
CASES = [
    Case("causal", "causal", nothing, lambda n, t: lambda b, h, q, k: k <= q),
    Case(
        "window",
        "causal & window(512)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & (q - k < 512),
    ),
    Case(
        "sinks",
        "causal & (sinks(4) | window(512))",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & ((k < 4) | (q - k < 512)),
    ),
    packed(64, shuffled=False),
    packed(64, shuffled=True),
    packed(1024, shuffled=False),
    packed(1024, shuffled=True),
    Case(
        "window in 1024 documents",
        "causal & window(4096) & same_doc",
        lambda n: documents(n, 1024, shuffled=False),
        lambda n, t: lambda b, h, q, k: (k <= q) & (q - k < 4096) & (t["doc"][q] == t["doc"][k]),
        window=4096,
    ),
    Case(
        "prefix per batch",
        "causal | prefix",
        lambda n: {"prefix_len": torch.tensor([n // 8, n // 3])},
        lambda n, t: lambda b, h, q, k: (k <= q) | (k < t["prefix_len"][b]),
        batch=2,
    ),
    Case(
        "chunked",
        "causal & chunked(1024)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) & (q // 1024 == k // 1024),
    ),
    Case(
        "dilated",
        "dilated(512, 4)",
        nothing,
        lambda n, t: lambda b, h, q, k: ((q - k).abs() < 512) & ((q - k) % 4 == 0),
    ),
    Case("NATTEN 2-D", NATTEN, nothing, natten_by_hand),
    Case(
        "NATTEN 90 wide",
        "abs(q // 90 - k // 90) <= 6 & abs(q % 90 - k % 90) <= 6",
        nothing,
        lambda n, t: (
            lambda b, h, q, k: ((q // 90 - k // 90).abs() <= 6) & ((q % 90 - k % 90).abs() <= 6)
        ),
    ),
    Case(
        "NATTEN of a video",
        "axis t = {frames}, h = 48, w = 80; abs(q.t - k.t) <= 2 & abs(q.h - k.h) <= 6 "
        "& abs(q.w - k.w) <= 6",
        nothing,
        video_by_hand,
    ),
    Case(
        "shuffled documents",
        "causal & same_doc",
        lambda n: {"doc": scattered(n, 9)},
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    ),
    Case(
        "256 shuffled documents",
        "causal & same_doc",
        lambda n: {"doc": scattered(n, 256)},
        lambda n, t: lambda b, h, q, k: (k <= q) & (t["doc"][q] == t["doc"][k]),
    ),
    Case(
        "EAGLE-3",
        "causal | (k >= {half} & (k - q) % {half} == 0)",
        nothing,
        lambda n, t: lambda b, h, q, k: (k <= q) | ((k >= n // 2) & ((k - q) % (n // 2) == 0)),
    ),
    Case("block diffusion", DIFFUSION, nothing, diffusion_by_hand),
    Case(
        "block table",
        f"input t: bool; t[q // {BLOCK}, k // {BLOCK}]",
        block_table,
        lambda n, t: lambda b, h, q, k: t["t"][q // BLOCK, k // BLOCK],
    ),
]


def text_of(case: Case, length: int) -> str:
    """Return the program of a case for sequences of ``length`` tokens."""
    height, width = natten(length)
    numbers = {"height": height, "width": width, "half": length // 2, "frames": -(-length // 3840)}
    text = case.text
    for name, number in numbers.items():
        text = text.replace(f"{{{name}}}", str(number))
    return text
