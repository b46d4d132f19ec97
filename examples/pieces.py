"""What the gallery shows: programs, with tensors at a size that fits a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskc.integrations import inputs as make

HERE = Path(__file__).parent
GENERATOR = torch.Generator().manual_seed(1)
N = 64
"""Tokens in most pictures."""


@dataclass(frozen=True)
class Piece:
    """A program of the gallery.

    Attributes: ``title``; ``source`` (the text, or the name of a file beside this one);
    ``inputs``, ``constants`` and sizes of the call; ``show`` (the heads to draw); ``about`` (one
    sentence where neither the standard library nor the file says it).
    """

    title: str
    source: str
    inputs: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, int | float] = field(default_factory=dict)
    q_len: int = N
    kv_len: int | None = None
    num_heads: int = 1
    show: tuple[int, ...] = (0,)
    block_size: int = 8
    bind: dict[str, Any] = field(default_factory=dict)
    about: str = ""

    @property
    def is_file(self) -> bool:
        """Whether the program is a file of this folder."""
        return self.source.endswith(".mask")

    @property
    def text(self) -> str:
        """The program."""
        if not self.is_file:
            return self.source
        return (HERE / self.source).read_text(encoding="utf-8")

    @property
    def slug(self) -> str:
        """The title as the name of a file."""
        kept = "".join(sign if sign.isalnum() else " " for sign in self.title.lower())
        return "-".join(kept.split())


def randoms(*shape: int) -> Tensor:
    """Return normal numbers."""
    return torch.randn(shape, generator=GENERATOR)


def chance(share: float, *shape: int) -> Tensor:
    """Return booleans of which ``share`` are true."""
    return torch.rand(shape, generator=GENERATOR) < share


def tokens(*marked: int) -> Tensor:
    """Return a boolean for each token, true for those marked."""
    return torch.isin(torch.arange(N), torch.tensor(marked))


LENGTHS = [20, 8, 26, 10]
DOC = make.doc_ids_from_lengths(LENGTHS)
SHUFFLED = torch.randperm(N, generator=GENERATOR)
IMAGES = torch.full((N,), -1)
IMAGES[4:16], IMAGES[22:34], IMAGES[44:52] = 0, 1, 2
BRANCH = torch.tensor([0] * 12 + [1] * 8 + [0] * 8 + [0] * 8 + [1] * 9 + [2] * 9 + [0] * 10)
PARENTS = [-1, 0, 0, 0, 1, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 12]
FRAMES = make.tile_order((4, 8, 8), (2, 4, 4))
BUCKETS = torch.randint(0, 5, (1, N), generator=GENERATOR)
BLOCK_MAP = chance(0.3, 1, 8, 8) | torch.eye(8, dtype=torch.bool)
RING = (torch.arange(N)[:, None] - torch.arange(N)).abs() % (N - 1) <= 1
SLOPES = make.alibi_slopes(4)
GATES = torch.nn.functional.logsigmoid(randoms(1, 4, N) + 3).cumsum(-1)

ORDER = [
    Piece("Causal", "causal"),
    Piece("Causal, aligned at the end", "causal_lower_right", q_len=40, kv_len=N),
    Piece("Strictly causal", "strictly_causal"),
    Piece("Causal with an offset", "lookahead(12)"),
    Piece("Sliding window", "causal & window(16)", about="`window(n)` with `causal`: n keys each."),
    Piece("Window to the left and right", "window(20, 6)"),
    Piece(
        "Window per token",
        "input width: int   # keys that each token sees\ncausal & window(width[q])",
        {"width": torch.arange(N) // 16 * 8 + 4},
        about="A table gives each token its own width.",
    ),
    Piece("Dilated window", "dilated(24, 4)"),
    Piece("Strided (Sparse Transformer)", "strided(8)"),
    Piece("Fixed (Sparse Transformer)", "fixed(16, 2)"),
    Piece(
        "Mixture of heads",
        "heads.mask",
        {"width": torch.tensor([8, 40])},
        num_heads=2,
        show=(0, 1),
    ),
]
GLOBAL = [
    Piece("Attention sinks (StreamingLLM)", "streaming.mask", {}, {"kept": 3, "recent": 16}),
    Piece(
        "Longformer",
        "longformer.mask",
        {"is_global": tokens(0, 1, 37)},
        {"width": 8},
        num_heads=2,
        show=(0, 1),
    ),
    Piece(
        "BigBird", "bigbird.mask", {"blocks": make.random_blocks(8, 8, 1, GENERATOR)}, {"size": 8}
    ),
]
PADDING = [
    Piece("Prefix LM", "causal | prefix", {"prefix_len": torch.tensor([22])}),
    Piece(
        "Prefix LM per document",
        "same_doc & causal | doc_prefix",
        {
            "doc": DOC,
            "position": make.positions_in_document(DOC),
            "doc_prefix_len": torch.tensor([10, 3, 18, 5]),
        },
    ),
    Piece(
        "Prompts of packed documents",
        "prefix_lm.mask",
        {"doc": DOC, "prompt": make.positions_in_document(DOC) < 7},
    ),
    Piece("Key padding", "valid_keys", {"valid": torch.arange(N) < 50}),
    Piece(
        "Key and query padding",
        "valid_keys & valid_queries",
        {"valid": torch.arange(N) < 50},
    ),
    Piece("Padding in front", "causal & left_padded", {"pad_len": torch.tensor([13])}),
    Piece("Padding at the end", "causal & right_padded", {"key_len": torch.tensor([45])}),
]
DOCUMENTS = [
    Piece("Packed documents", "causal & same_doc", {"doc": DOC}),
    Piece(
        "Documents in any order",
        "doc_causal",
        {
            "doc": DOC[SHUFFLED],
            "position": make.positions_in_document(DOC)[SHUFFLED],
        },
    ),
    Piece(
        "Shared prefix",
        "causal & (same_doc | doc[k] == 0)",
        {"doc": DOC},
        about="Document 0 is seen by all others, as a system prompt is.",
    ),
    Piece("Shared question", "shared_question.mask", {"doc": DOC, "branch": BRANCH}),
]
BLOCKS = [
    Piece("Blocked", "chunked(12)"),
    Piece(
        "Chunked (Llama 4)",
        "llama4.mask",
        {"pad_len": torch.tensor([9])},
        {"layer": 0, "size": 16},
    ),
    Piece("Block causal", "block_causal(12)"),
    Piece("Band of blocks", "block_band(8, 1)"),
    Piece("Block map (VSA)", "block_map(8)", {"blocks": BLOCK_MAP}),
    Piece(
        "Selected blocks (MoBA, NSA)", "moba.mask", {"routes": chance(0.2, 1, N, 8)}, {"size": 8}
    ),
    Piece("Block diffusion", "block_diffusion.mask", {}, {"clean": 32, "size": 8}),
]
IMAGES_AND_TEXT = [
    Piece(
        "Images both ways (Gemma 3)", "gemma3.mask", {"image_id": IMAGES}, {"layer": 0, "width": 16}
    ),
    Piece("Images both ways (Transfusion)", "causal | same_image", {"image_id": IMAGES}),
    Piece(
        "Images both ways, by their spans",
        "input first: int; input last: int; causal | span(first, last)",
        dict(zip(["first", "last"], make.spans(IMAGES), strict=True)),
    ),
    Piece(
        "Scopes of several images",
        "multi_image.mask",
        {
            "doc": DOC,
            "image_id": torch.where(torch.arange(N) < 54, IMAGES, -1),
            "scope_start": torch.tensor([4, 22, 44]),
            "scope_end": torch.tensor([18, 40, 54]),
        },
    ),
    Piece(
        "Flamingo",
        "flamingo.mask",
        {"images_seen": tokens(3, 25, 44).cumsum(0)},
        {"tokens": 16},
        kv_len=48,
    ),
]
DRAFTS = [
    Piece(
        "Tree of drafts",
        "tree",
        {"ancestor": make.ancestors(PARENTS)},
        q_len=16,
        kv_len=32,
        block_size=4,
        bind={"q_offset": 16},
    ),
    Piece("EAGLE-3", "eagle3", q_len=24, kv_len=72),
]
GRIDS = [
    Piece("Neighbourhood 1-D", f"axis x = {N}; natten(x, 13)"),
    Piece("Neighbourhood 1-D with stride", f"axis x = {N}; natten(x, 16, stride = 8)"),
    Piece("Neighbourhood 1-D, dilated", f"axis x = {N}; natten(x, 9, dilation = 4)"),
    Piece("Neighbourhood 2-D", "natten.mask", q_len=256, block_size=16),
    Piece("Neighbourhood 3-D, causal in time", "natten_video.mask", q_len=256, block_size=16),
    Piece(
        "Sliding tiles 2-D",
        "axis h = 16, w = 16; sliding_tile(h, 3, 4) & sliding_tile(w, 3, 4)",
        q_len=256,
        block_size=16,
        bind=dict.fromkeys(["q_positions", "kv_positions"], make.tile_order((16, 16), (4, 4))),
    ),
    Piece(
        "Sliding tiles 3-D",
        "sliding_tile.mask",
        q_len=256,
        block_size=32,
        bind=dict.fromkeys(["q_positions", "kv_positions"], FRAMES),
    ),
    Piece(
        "Spatial and temporal heads (Sparse VideoGen)",
        "sparse_videogen.mask",
        {"spatial": torch.tensor([True, False])},
        q_len=216,
        num_heads=2,
        show=(0, 1),
        block_size=12,
    ),
    Piece("Axial", "axial.mask", q_len=144, num_heads=2, show=(0, 1), block_size=12),
    Piece(
        "Criss-cross", "axis h = 12, w = 12; same_line(h) | same_line(w)", q_len=144, block_size=12
    ),
    Piece(
        "Shifted windows (Swin)", "swin.mask", {"table": randoms(1, 7, 7)}, q_len=144, block_size=12
    ),
    Piece(
        "A grid among other tokens",
        "axis h = 7, w = 8 from 4; near(h, 1) & near(w, 2) | off_grid(h)",
    ),
]
TABLES = [
    Piece("Hash buckets (Reformer)", "causal & same_bucket", {"bucket": BUCKETS}),
    Piece("Sorted hash buckets", "same_bucket", {"bucket": BUCKETS.sort().values}),
    Piece("Graph neighbours", "neighbours | q == k", {"adjacent": RING | chance(0.03, N, N)}),
    Piece("Any tensor", "explicit", {"allowed": chance(0.3, 1, N, N)}),
]
SELECTIONS = [
    Piece("Top keys of each query", "top_keys.mask", {"importance": randoms(1, N)}, {"n": 10}),
    Piece("Positive keys", "relu_selection.mask", {"importance": randoms(1, N)}),
    Piece(
        "Top blocks",
        "top_blocks.mask",
        {"block_score": randoms(8, 8)},
        {"n": 3},
        q_len=512,
        block_size=64,
    ),
]
RANGE = [
    Piece(
        "Temperature per head",
        "temperature.mask",
        {"temperature": torch.tensor([0.5, 2.0])},
        num_heads=2,
        show=(0, 1),
    ),
    Piece(
        "Scalable softmax",
        "ssmax.mask",
        {"gain": torch.tensor([0.4])},
    ),
    Piece("Log-n scaling", "causal; score = score * log_n(16)"),
    Piece("Softcap (Gemma 2)", "gemma2.mask", {}, {"layer": 0, "width": 16, "cap": 3.0}),
    Piece(
        "Clip per head",
        "clip.mask",
        {"limit": torch.tensor([1.0, 3.0])},
        num_heads=2,
        show=(0, 1),
    ),
]
POSITIONS = [
    Piece("ALiBi", "alibi.mask", {"slopes": SLOPES}, num_heads=4, show=(0, 3)),
    Piece(
        "ALiBi, symmetric",
        "score = score + alibi_symmetric",
        {"slopes": SLOPES},
        num_heads=4,
        show=(0, 3),
    ),
    Piece(
        "T5 buckets",
        "t5.mask",
        {"valid": torch.arange(N) < 56, "table": randoms(1, 32)},
    ),
    Piece(
        "Relative table",
        f"input table: float; score = score + table[head, rel_index({N})]",
        {"table": randoms(1, 2 * N - 1).cumsum(-1) / 3},
    ),
    Piece(
        "Relative table of windows (Swin)",
        "swin.mask",
        {"table": randoms(1, 7, 7)},
        q_len=144,
        block_size=12,
    ),
    Piece(
        "Decomposed relative positions (SAM, MViT, MONAI)",
        "axis h = 8, w = 8; score = score + relpos(h, w)",
        make.decomposed_rel_pos(
            randoms(1, 1, N, 8), {"h": randoms(15, 8), "w": randoms(15, 8)}, {"h": 8, "w": 8}
        ),
    ),
    Piece("Relative keys (Shaw)", "shaw.mask", {"rel_q": randoms(1, 1, N, 33).cumsum(-1) / 3}),
    Piece(
        "KERPLE",
        "kerple.mask",
        {"strength": torch.tensor([1.0]), "rate": torch.tensor([0.5])},
    ),
    Piece(
        "KERPLE, power",
        "causal; score = score + kerple_power(0.3, 0.7)",
    ),
    Piece(
        "Sandwich", "sandwich.mask", {"table": make.sandwich_bias(2, N, 32)}, num_heads=2, show=(1,)
    ),
    Piece(
        "FIRE",
        "fire.mask",
        {"table": 3 * torch.cos(torch.linspace(0, 4, 513))[None]},
        {"threshold": 8.0},
    ),
    Piece("Forgetting", "forgetting.mask", {"log_forget": GATES}, num_heads=4),
    Piece(
        "Graphormer",
        "graphormer.mask",
        {
            "doc": DOC,
            "hops": torch.minimum(
                (torch.arange(N)[:, None] - torch.arange(N)).abs() % 9, torch.tensor(5)
            ),
            "table": randoms(1, 6),
        },
    ),
]
EPILOGUES = [
    Piece(
        "Learned sinks (gpt-oss)",
        "gpt_oss.mask",
        {"sink": torch.zeros(1)},
        {"layer": 0, "width": 16},
    ),
    Piece("Softmax plus one", "softmax_plus_one.mask"),
    Piece("Sigmoid attention", "sigmoid.mask"),
]
SECTIONS = {
    "Order and distance": ORDER,
    "Sinks and global tokens": GLOBAL,
    "Prefixes and padding": PADDING,
    "Documents": DOCUMENTS,
    "Blocks": BLOCKS,
    "Images and text": IMAGES_AND_TEXT,
    "Drafts of speculative decoding": DRAFTS,
    "Grids": GRIDS,
    "Tables of tokens": TABLES,
    "Selections": SELECTIONS,
    "Scores: scale and range": RANGE,
    "Scores: positions": POSITIONS,
    "Epilogues": EPILOGUES,
}
