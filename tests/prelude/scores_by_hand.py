"""Scores by hand: the attention weights of a program, and those of a plain formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from maskc.program import compile_mask

Formula = Callable[[float, int, int, int, int], float]
"""The score of query ``q`` and key ``k`` from the scaled one: ``formula(s, batch, head, q, k)``."""
B, H, D = 2, 4, 6


@dataclass(frozen=True)
class Score:
    """A program, the tensors that it reads, and the formula that it stands for."""

    text: str
    formula: Formula
    inputs: dict[str, Any] = field(default_factory=dict)
    q_len: int = 13
    kv_len: int | None = None

    @property
    def keys(self) -> int:
        return self.q_len if self.kv_len is None else self.kv_len

    def vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v in float64; key heads are half as many."""
        generator = torch.Generator().manual_seed(7)
        shapes = (B, H, self.q_len, D), (B, H // 2, self.keys, D), (B, H // 2, self.keys, 3)
        q, k, v = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
        return q * 2, k, v

    def scores(self) -> Tensor:
        """Return what the formula says, ``[B, H, Q, K]``; -inf is masked."""
        q, k, _ = self.vectors()
        raw = q @ k.repeat_interleave(2, dim=1).mT / math.sqrt(D)
        points = [
            self.formula(float(raw[b, h, i, j]), b, h, i, j)
            for b in range(B)
            for h in range(H)
            for i in range(self.q_len)
            for j in range(self.keys)
        ]
        return torch.tensor(points, dtype=torch.float64).reshape(raw.shape)

    def check(self, tolerance: float = 1e-6) -> None:
        """Assert that weights and output are those of the formula, on two backends."""
        q, k, v = self.vectors()
        bound = compile_mask(self.text).bind(
            q_len=self.q_len,
            kv_len=self.keys,
            batch_size=B,
            num_heads=H,
            num_kv_heads=H // 2,
            **self.inputs,
        )
        scores = self.scores()
        weights = scores.softmax(-1)
        plain = q @ k.repeat_interleave(2, dim=1).mT / math.sqrt(D)
        assert not torch.allclose(weights, plain.softmax(-1), atol=1e-3), "the formula does nothing"
        close = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(bound.weights(q, k), weights, **close)
        out = weights @ v.repeat_interleave(2, dim=1)
        for backend in ("reference", "sdpa"):
            torch.testing.assert_close(bound(q, k, v, backend=backend), out, **close)
