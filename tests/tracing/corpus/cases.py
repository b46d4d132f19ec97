"""The corpus of callables: each is written from the formula of a project that is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Mod = Callable[..., Any]
Build = Callable[[], Mod]


@dataclass(frozen=True, slots=True)
class Case:
    """A callable and the call that it is made for.

    Attributes:
        name: of the case.
        project: whose formula it is.
        source: where the formula stands.
        build: makes the callable.
        shape: batches, heads, queries and keys.
        refused: the code of the error, where there is no translation.

    """

    name: str
    project: str
    source: str
    build: Build
    shape: tuple[int, int, int, int]
    refused: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The shape as ``trace`` takes it."""
        names = ("batch_size", "num_heads", "q_len", "kv_len")
        return dict(zip(names, self.shape, strict=True))


CASES: list[Case] = []


def case(
    project: str,
    source: str,
    shape: tuple[int, int, int, int] = (2, 4, 40, 40),
    refused: str | None = None,
) -> Callable[[Build], Build]:
    """Take a function that makes a callable into the corpus."""

    def take(build: Build) -> Build:
        CASES.append(Case(build.__name__, project, source, build, shape, refused))
        return build

    return take


def drawn(*shape: int, high: int = 5, seed: int = 0) -> Tensor:
    """Return random ints from 0."""
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


def documents(*shape: int, high: int = 4, seed: int = 0) -> Tensor:
    """Return ids of packed documents."""
    return drawn(*shape, high=high, seed=seed).sort(-1).values


def floats(*shape: int, seed: int = 0) -> Tensor:
    """Return random floats."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
