"""A drawn program in maskc's hands, and how close its results must be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import maskc
from oracle.attention import Expected
from oracle.programs import Program

EPSILON = {torch.float64: 2e-6, torch.float32: 4e-6, torch.float16: 4e-3, torch.bfloat16: 2e-2}
"""What one operation may round, as a share; tables and positions meet in float32 everywhere."""


@dataclass
class Case:
    """A program with its tensors, compiled and bound once for all ways.

    Attributes:
        qkv: what is given to maskc.
        expected: what it must give.

    """

    program: Program
    qkv: tuple[Tensor, Tensor, Tensor]
    expected: Expected

    @cached_property
    def compiled(self) -> maskc.Program:
        """The program as maskc has it."""
        policy = self.program.call.empty_rows
        return maskc.compile_mask(self.program.text, empty_rows=policy, **self.program.given)

    @cached_property
    def bound(self) -> maskc.Bound:
        """The program bound to its tensors."""
        call = self.program.call
        return self.compiled.bind(
            **call.sizes, **call.keywords, block_size=call.block_size, **self.program.inputs
        )

    @property
    def options(self) -> dict[str, Any]:
        """The scale, where one is given."""
        scale = self.program.call.scale
        return {} if scale is None else {"scale": scale}

    def tolerance(self, dtype: torch.dtype) -> float:
        """Return what scores of their size may be off by, as a share of the result."""
        return EPSILON[dtype] * (4 + self.expected.largest)


def differs(case: Case, found: Tensor, expected: Tensor, factor: float = 1.0) -> str | None:
    """Tell where a result differs from what is expected, if it does."""
    if found.shape != expected.shape:
        return f"has shape {list(found.shape)}, expected {list(expected.shape)}"
    share = factor * case.tolerance(found.dtype if found.dtype in EPSILON else torch.float32)
    share = max(share, factor * case.tolerance(case.qkv[0].dtype))
    close = torch.isclose(found.double(), expected, rtol=share, atol=share, equal_nan=True)
    if bool(close.all()):
        return None
    at = [int(i) for i in (~close).nonzero()[0]]
    gap = (found.double() - expected).abs()[~close].nan_to_num(9e99).max()
    one, other = float(found[tuple(at)]), float(expected[tuple(at)])
    return f"wrong by {float(gap):.3g}, {int((~close).sum())} times; at {at} {one}, not {other}"
