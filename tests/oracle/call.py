"""The calls that programs are held to: sizes, logical positions, dtypes, and a policy."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

DTYPES = [torch.float64] * 11 + [torch.float32] * 6 + [torch.bfloat16] * 2 + [torch.float16]
"""Those of q, k and v, as often as they are drawn."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of attention.

    Attributes:
        q_positions: logical positions of the queries, ``[B | 1, Q]``; likewise ``k_positions``.
        keywords: what gives these positions to ``bind``.
        head_offset: the head of the model that head 0 is.
        is_plain: positions are rows, and heads those of the model.
        poisoned: which of ``k`` and ``kv`` hold infinities and NaN where no query looks; none if
            empty.

    """

    batch_size: int
    num_heads: int
    num_kv_heads: int
    q_len: int
    kv_len: int
    q_positions: Tensor
    k_positions: Tensor
    keywords: Mapping[str, Any]
    head_offset: int = 0
    dtype: torch.dtype = torch.float64
    width: int = 4
    scale: float | None = None
    block_size: int | tuple[int, int] = 128
    empty_rows: str = "zero"
    poisoned: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether positions are rows, and heads those of the model."""
        return not self.keywords

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes under the names that the language has for them."""
        names = ("batch_size", "num_heads", "num_kv_heads", "q_len", "kv_len")
        return {name: getattr(self, name) for name in names}

    @property
    def q_extent(self) -> int:
        """How many entries a table by ``q`` has; one where every query stands below 0."""
        return max(int(self.q_positions.max()) + 1, 1)

    @property
    def k_extent(self) -> int:
        """How many entries a table by ``k`` has."""
        return max(int(self.k_positions.max()) + 1, 1)

    @property
    def below(self) -> frozenset[str]:
        """Which of ``q`` and ``k`` have positions below 0, where no table has an entry."""
        sides = {"q": self.q_positions, "k": self.k_positions}
        return frozenset(side for side, positions in sides.items() if int(positions.min()) < 0)

    @property
    def furthest(self) -> int:
        """The largest size of a position."""
        return max(int(p.abs().max()) for p in (self.q_positions, self.k_positions))

    @property
    def model_heads(self) -> int:
        """How many heads an input may hold."""
        return self.num_heads + self.head_offset

    def __str__(self) -> str:
        given = {
            **self.sizes,
            "dtype": self.dtype,
            "width": self.width,
            "scale": self.scale,
            "block_size": self.block_size,
            "empty_rows": self.empty_rows,
            **({"poisoned": self.poisoned} if self.poisoned else {}),
            **{name: _shown(value) for name, value in self.keywords.items()},
        }
        return ", ".join(f"{name}={value}" for name, value in given.items())


def _shown(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.tolist() if value.numel() <= 8 else f"a table {list(value.shape)}"


def draw_call(rng: random.Random) -> Call:
    """Draw the sizes first, then where in the sequence the rows stand."""
    kv_heads = rng.choice([1, 1, 2, 3])
    sizes = {
        "batch_size": rng.choice([1, 1, 2, 3]),
        "num_kv_heads": kv_heads,
        "num_heads": kv_heads * rng.choice([1, 1, 2, 3]),
    }
    lengths = _lengths(rng)
    if lengths["q_len"] * lengths["kv_len"] > 40_000:
        sizes = {"batch_size": 1, "num_kv_heads": 1, "num_heads": rng.choice([1, 2])}
    keywords, q_positions, k_positions = _positions(rng, sizes["batch_size"], **lengths)
    head_offset = rng.choice([0, 0, 0, 0, 0, 0, 1, 2]) * sizes["num_heads"]
    if head_offset:
        keywords["head_offset"] = head_offset
    return Call(
        **sizes,
        **lengths,
        q_positions=q_positions,
        k_positions=k_positions,
        keywords=keywords,
        head_offset=head_offset,
        dtype=rng.choice(DTYPES),
        width=rng.choice([2, 3, 4, 8]),
        scale=rng.choice([None] * 8 + [0.7, 0.0, -0.5]),
        block_size=rng.choice([16, 32, 128, (16, 32), (64, 16)]),
        empty_rows=rng.choice(["zero"] * 5 + ["all", "nan", "error"]),
        poisoned=rng.choice([""] * 48 + ["k", "kv"]),
    )


def _lengths(rng: random.Random) -> dict[str, int]:
    """Draw lengths: mostly a few tiles of 16, sometimes past 256, rarely past 2048."""
    kind = rng.random()
    if kind < 0.6:
        q_len, kv_len = rng.randint(1, 20), rng.randint(1, 40)
    elif kind < 0.8:
        q_len, kv_len = rng.randint(20, 150), rng.randint(20, 150)
    elif kind < 0.92:
        q_len, kv_len = rng.randint(2, 40), rng.randint(257, 600)
    elif kind < 0.97:
        q_len, kv_len = rng.randint(257, 400), rng.randint(10, 300)
    else:
        q_len, kv_len = rng.choice([(5, 2070), (2070, 9), (40, 2100)])
    return {"q_len": q_len, "kv_len": q_len if rng.random() < 0.4 and q_len < 500 else kv_len}


def _positions(
    rng: random.Random, batch: int, q_len: int, kv_len: int
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Draw how the rows stand in the sequence; return keywords and both sides' positions."""
    if rng.random() < 0.06:
        return _padded(rng, batch, q_len, kv_len)
    keywords: dict[str, Any] = {}
    q = _side(rng, keywords, "q", batch, q_len, max(0, kv_len - q_len))
    k = _side(rng, keywords, "kv", batch, kv_len, 0)
    return keywords, q, k


def _padded(
    rng: random.Random, batch: int, q_len: int, kv_len: int
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Pad each sequence in front, so that its first real token stands at 0."""
    pads = torch.tensor([rng.randint(0, kv_len + 2) for _ in range(batch)])
    behind = rng.choice([0, max(0, kv_len - q_len)])
    k = torch.arange(kv_len) - pads[:, None]
    q = torch.arange(q_len) + behind - pads[:, None]
    if rng.random() < 0.5:
        return {"q_offset": behind - pads, "kv_offset": -pads}, q, k
    return {"q_positions": q, "kv_positions": k}, q, k


def _side(
    rng: random.Random, keywords: dict[str, Any], side: str, batch: int, length: int, usual: int
) -> Tensor:
    rows = torch.arange(length)[None]
    kind = rng.random()
    near, before = rng.randint(1, 9), -rng.choice([1, 3, 17, 300])
    far = rng.choice([usual, usual, near, near, 300, 2500, before])
    if kind < (0.6 if side == "q" else 0.85):
        return rows
    if kind < 0.8 or (side == "kv" and kind < 0.9):
        keywords[f"{side}_offset"] = far if rng.random() < 0.7 else torch.tensor(far)
        return rows + far
    if kind < 0.9 or (side == "kv" and kind < 0.95):
        ends = sorted([0, far + 3])
        offsets = torch.tensor([rng.randint(*ends) for _ in range(batch)])
        keywords[f"{side}_offset"] = offsets
        return rows + offsets[:, None]
    shape = (batch, length) if rng.random() < 0.5 else (1, length)
    generator = torch.Generator().manual_seed(rng.randrange(2**30))
    drawn = torch.rand((shape[0], length + rng.choice([0, 5])), generator=generator)
    found = drawn.argsort(-1)[:, :length]
    if rng.random() < 0.3:  # documents that each count from 0, say
        found = found.sort(-1).values % rng.randint(1, length)
    if rng.random() < 0.25:
        found = found - rng.choice([1, 2, 30])
    keywords[f"{side}_positions"] = found if shape[0] == batch and rng.random() < 0.5 else found[0]
    return found if keywords[f"{side}_positions"].dim() == 2 else found[:1]
