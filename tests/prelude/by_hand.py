"""Masks by hand: what a program gives, and what a plain rule says, as 0/1 matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from maskc.program import compile_mask

Rule = Callable[[int, int, int, int], bool]
"""Whether query ``q`` attends to key ``k``: ``rule(batch, head, q, k)``."""


@dataclass(frozen=True)
class Mask:
    """A program, the tensors that it reads, and the rule that it stands for."""

    text: str
    rule: Rule
    inputs: dict[str, Any] = field(default_factory=dict)
    q_len: int = 23
    kv_len: int | None = None
    batch: int = 1
    heads: int = 1
    kv_heads: int | None = None
    constants: dict[str, int] = field(default_factory=dict)
    bind: dict[str, Any] = field(default_factory=dict)

    def found(self) -> Tensor:
        """Return what maskc makes of the program, ``[B, H, Q, K]``."""
        bound = compile_mask(self.text, **self.constants).bind(
            q_len=self.q_len,
            kv_len=self.keys,
            batch_size=self.batch,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            **self.bind,
            **self.inputs,
        )
        return bound.dense_mask().expand(self.batch, self.heads, -1, -1)

    def expected(self) -> Tensor:
        """Return what the rule says, ``[B, H, Q, K]``."""
        return torch.tensor(
            [
                [
                    [[bool(self.rule(b, h, q, k)) for k in range(self.keys)] for q in rows]
                    for h in range(self.heads)
                ]
                for b in range(self.batch)
                for rows in [range(self.q_len)]
            ]
        )

    @property
    def keys(self) -> int:
        return self.q_len if self.kv_len is None else self.kv_len

    def check(self) -> None:
        """Assert that the program means its rule, and that the rule is no constant."""
        expected = self.expected()
        assert 0 < int(expected.sum()) < expected.numel()
        found = self.found()
        assert torch.equal(found, expected), _difference(found, expected)


def _difference(found: Tensor, expected: Tensor) -> str:
    batch, head, q, k = (found != expected).nonzero()[0].tolist()
    return (
        f"batch {batch}, head {head}, q {q}, k {k}: found {bool(found[batch, head, q, k])}, "
        f"{int((found != expected).sum())} differences"
    )


def ids(*lengths: int) -> list[int]:
    """Return the number of its run for each of ``sum(lengths)`` tokens."""
    return [run for run, length in enumerate(lengths) for _ in range(length)]
