"""Masks from the literature as maskc text, with the tensors that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Inputs = Callable[["Draw"], dict[str, Tensor]]


@dataclass(frozen=True)
class Draw:
    """The sizes of a call and a source of randomness."""

    q_len: int
    kv_len: int
    batch: int
    heads: int
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    @property
    def longest(self) -> int:
        return max(self.q_len, self.kv_len)

    def ints(self, high: int, *shape: int) -> Tensor:
        return torch.randint(0, max(1, high), shape, generator=self.generator)

    def bools(self, share: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator) < share

    def documents(self, count: int) -> Tensor:
        """Ids of packed documents, in order."""
        return self.ints(count, self.longest).sort().values

    def shuffled(self, count: int) -> Tensor:
        """Ids of packed documents, in any order."""
        return torch.randperm(count, generator=self.generator)[self.documents(count)]

    def tree(self) -> Tensor:
        """For each token of a tree of drafts, which tokens are its ancestors."""
        ancestors = torch.eye(self.longest, dtype=torch.bool)
        for token in range(1, self.longest):
            parent = int(self.ints(token, 1))
            ancestors[token] |= ancestors[parent]
        return ancestors


@dataclass(frozen=True)
class Mask:
    name: str
    text: str
    inputs: Inputs = lambda draw: {}


DIFFUSION = """
let half = 96
let noisy_q = q < half; let noisy_k = k < half
let block_q = q % half // 16; let block_k = k % half // 16
(block_q == block_k & noisy_q & noisy_k) | (noisy_q & !noisy_k & block_q > block_k) \
| (!noisy_q & !noisy_k & block_q >= block_k)
"""
NATTEN_3D = """
axis t = 4, h = 6, w = 8
abs(clamp(q.t, 1, 2) - k.t) <= 1 & abs(clamp(q.h, 1, 4) - k.h) <= 1 \
& abs(clamp(q.w, 2, 5) - k.w) <= 2
"""
SWIN = """
axis h = 16, w = 12
let sh = 2; let sw = 2
(q.h + sh) % 16 // 4 == (k.h + sh) % 16 // 4 & (q.w + sw) % 12 // 4 == (k.w + sw) % 12 // 4 \
& (q.h < 14) == (k.h < 14) & (q.w < 10) == (k.w < 10)
"""

LITERATURE = [
    Mask("full", "full"),
    Mask("causal", "causal"),
    Mask("causal lower right", "causal_lower_right"),
    Mask("strictly causal", "k < q"),
    Mask("causal by an offset", "k <= q + 37"),
    Mask("local", "abs(q - k) < 50"),
    Mask("causal window", "causal & window(33)"),
    Mask("flash band", "window(40, 10)"),
    Mask(
        "window per head",
        "input w: int; abs(q - k) < w[head]",
        lambda d: {"w": d.ints(90, d.heads)},
    ),
    Mask(
        "window per token",
        "input w: int; 0 <= q - k < w[q]",
        lambda d: {"w": d.ints(70, d.longest)},
    ),
    Mask("dilated", "dilated(80, 4)"),
    Mask("strided (Sparse Transformer)", "causal & (q - k < 32 | (q - k) % 32 == 0)"),
    Mask("fixed (Sparse Transformer)", "causal & (q // 32 == k // 32 | k % 32 >= 28)"),
    Mask("attention sinks", "causal & (sinks(4) | window(30))"),
    Mask(
        "global tokens (Longformer)",
        "input g: bool; window(20) | g[q] | g[k]",
        lambda d: {"g": d.bools(0.02, d.longest)},
    ),
    Mask(
        "BigBird",
        "input r: bool; window(16) | q < 8 | k < 8 | r[q // 16, k // 16]",
        lambda d: {"r": d.bools(0.1, d.q_len // 16 + 1, d.kv_len // 16 + 1)},
    ),
    Mask("prefix LM", "causal | k < 45"),
    Mask("prefix per batch", "causal | prefix", lambda d: {"prefix_len": d.ints(90, d.batch)}),
    Mask(
        "prefix per document",
        "input doc_prefix: int; input doc_start: int; same_doc & (causal | k - doc_start[doc[k]] < "
        "doc_prefix[doc[k]])",
        lambda d: {
            "doc": (doc := d.documents(5)),
            "doc_prefix": d.ints(30, 5),
            "doc_start": torch.searchsorted(doc, torch.arange(5)),
        },
    ),
    Mask("key padding", "valid_keys", lambda d: {"valid": torch.arange(d.longest) < 90}),
    Mask("random padding", "causal & valid_keys", lambda d: {"valid": d.bools(0.5, d.longest)}),
    Mask(
        "left padding",
        "input pad: int; causal & k >= pad[batch]",
        lambda d: {"pad": d.ints(60, d.batch)},
    ),
    Mask("documents", "same_doc", lambda d: {"doc": d.documents(6)}),
    Mask("causal documents", "causal & same_doc", lambda d: {"doc": d.documents(6)}),
    Mask("shuffled documents", "causal & same_doc", lambda d: {"doc": d.shuffled(12)}),
    Mask("scattered documents", "same_doc", lambda d: {"doc": d.ints(9, d.longest)}),
    Mask(
        "documents by their start",
        "input start: int; start[doc[q]] <= k & causal",
        lambda d: {
            "doc": (doc := d.documents(7)),
            "start": torch.searchsorted(doc, torch.arange(7)),
        },
    ),
    Mask(
        "document positions",
        "input pos: int; same_doc & pos[q] - pos[k] < 20 & pos[k] <= pos[q]",
        lambda d: {"doc": d.documents(4), "pos": torch.arange(d.longest) % 53},
    ),
    Mask(
        "shared prefix",
        "causal & (doc[k] == 0 | same_doc)",
        lambda d: {"doc": d.documents(5)},
    ),
    Mask("blocked", "chunked(32)"),
    Mask("chunked (Llama 4)", "causal & chunked(48)"),
    Mask(
        "chunked, left padded",
        "input pad: int; let p = pad[batch]; causal & (q - p) // 32 == (k - p) // 32 & k >= p",
        lambda d: {"pad": d.ints(50, d.batch)},
    ),
    Mask("block causal", "q // 24 >= k // 24"),
    Mask(
        "bidirectional images (Gemma 3)",
        "input image: int; causal | (image[q] == image[k] & image[q] >= 0)",
        lambda d: {"image": torch.where(torch.arange(d.longest) % 64 < 20, d.documents(4), -1)},
    ),
    Mask(
        "Flamingo",
        "input media: int; media[q] == k // 16 + 1",
        lambda d: {"media": d.bools(0.03, d.longest).cumsum(0)},
    ),
    Mask("block diffusion", DIFFUSION),
    Mask("tree", "input ancestor: bool; ancestor[q, k]", lambda d: {"ancestor": d.tree()}),
    Mask("NATTEN 1-D", "abs(clamp(q, 8, kv_len - 9) - k) <= 8"),
    Mask(
        "NATTEN 2-D",
        "axis h = 12, w = 16; abs(clamp(q.h, 2, 9) - k.h) <= 2 & abs(clamp(q.w, 3, 12) - k.w) <= 3",
    ),
    Mask("NATTEN 3-D", NATTEN_3D),
    Mask(
        "sliding tiles", "axis h = 12, w = 16; abs(q.h // 4 - k.h // 4) <= 1 & q.w // 8 == k.w // 8"
    ),
    Mask("axial", "axis h = 12, w = 16; q.h == k.h | q.w == k.w"),
    Mask("grid after text", "axis h = 8, w = 16 from 5; k.h < 0 | abs(q.h - k.h) <= 1"),
    Mask(
        "spatial and temporal heads",
        "axis t = 8, s = 24; q.t == k.t if head % 2 == 0 else q.s == k.s",
    ),
    Mask("Swin, shifted", SWIN),
    Mask(
        "block map",
        "input t: bool; t[head, q // 32, k // 32] & causal",
        lambda d: {"t": d.bools(0.4, d.heads, d.q_len // 32 + 1, d.kv_len // 32 + 1)},
    ),
    Mask(
        "LSH buckets",
        "input bucket: int; bucket[q] == bucket[k] | q == k",
        lambda d: {"bucket": d.ints(9, d.longest)},
    ),
    Mask("graph", "input e: bool; e[q, k]", lambda d: {"e": d.bools(0.02, d.longest, d.longest)}),
    Mask("head mixture", "where(head == 0, causal, where(head == 1, window(20), sinks(9)))"),
    Mask("mixed slopes", "abs(2*k - 3*q) <= 40"),
    Mask(
        "by float",
        "input x: float; x[q] * 2.0 - x[k] < 0.5",
        lambda d: {"x": d.ints(99, d.longest) / 99},
    ),
    Mask(
        "kept by rank",
        "input rank: int; input cut: int; rank[head, k] <= cut[head, q] & causal",
        lambda d: {"rank": d.ints(200, d.heads, d.kv_len), "cut": d.ints(80, d.heads, d.q_len)},
    ),
    Mask("modulo", "(q * k) % 7 == 3"),
    Mask(
        "power of two distances",
        "input p: bool; p[max(q - k, 0)] & causal",
        lambda d: {"p": torch.tensor([n & (n - 1) == 0 for n in range(d.longest)])},
    ),
]
