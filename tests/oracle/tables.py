"""Inputs: a declaration, the tensors bound to it, and reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oracle.draw import Draw
from oracle.terms import Term, World, float_of

INTS = (torch.int32, torch.int64, torch.int32, torch.int64, torch.int16, torch.uint8)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGE = 2**24
"""From here on float32 does not hold every int."""


@dataclass(frozen=True, slots=True)
class Table:
    """An input.

    Attributes:
        name: in the text.
        kind: ``int``, ``float`` or ``bool``.
        rank: how many subscripts it takes.
        tensors: what is bound: one tensor, or one for queries and one for keys.
        whole: bits of its largest value, ``part``: bits after the point.

    """

    name: str
    kind: str
    rank: int
    tensors: tuple[Tensor, ...]
    whole: int
    part: int

    def read(self, *subscripts: Term, key_side: bool = False) -> Term:
        """Return ``name[subscripts]``; a pair gives its second tensor where a key is read."""
        text = ", ".join(term.text for term in subscripts)
        tensor = self.tensors[key_side and len(self.tensors) == 2]

        def formula(world: World) -> Tensor:
            return element(tensor, [term.formula(world) for term in subscripts], world.batch)

        uses = frozenset([self.name]).union(*(term.uses for term in subscripts))
        shown = f"{self.name}[{text}]" if subscripts else self.name
        return Term(shown, formula, uses=uses, whole=self.whole, part=self.part)


def element(tensor: Tensor, subscripts: Sequence[Tensor], batch: Tensor) -> Tensor:
    """Return the elements at some subscripts; a dimension of size 1 has one for all."""
    at = [batch, *subscripts] if tensor.dim() > len(subscripts) else list(subscripts)
    places = [
        torch.zeros_like(index) if size == 1 else index.long()
        for index, size in zip(at, tensor.shape, strict=True)
    ]
    for index, size in zip(places, tensor.shape, strict=True):
        assert 0 <= int(index.min()) <= int(index.max()) < size, (
            "a drawn subscript leaves its table"
        )
    found = tensor[tuple(places)] if places else tensor
    if found.is_floating_point():
        return float_of(found)
    return found if found.dtype is torch.bool else found.long()


def table(
    draw: Draw,
    kind: str,
    *dims: int,
    pair: tuple[int, int] | None = None,
    batched: bool | None = None,
    **ranges: Any,
) -> Table:
    """Declare an input with these dimensions and draw its tensors.

    Args:
        draw: what is drawn so far.
        kind: ``int``, ``float`` or ``bool``.
        *dims: how many entries each subscript has.
        pair: the extents of the first dimension for queries and for keys, to bind a pair.
        batched: whether the batch stands in front; drawn if None.
        **ranges: as ``values`` takes them.

    """
    name = draw.name(kind[0])
    draw.declare(name, f"input {name}: {kind}")
    shapes = [(extent, *dims[1:]) for extent in pair] if pair else [dims]
    batched = draw.chance(0.25) if batched is None else batched
    dtype = _dtype(draw, kind, ranges.get("most", 0))
    tensors = []
    for shape in shapes:
        front = (draw.rng.choice([draw.call.batch_size, 1]),) if batched else ()
        tensors.append(values(draw, dtype, (*front, *shape), **ranges))
    draw.bound[name] = tuple(tensors) if pair else tensors[0]
    whole, part = _bits(tensors)
    return Table(name, kind, len(dims), tuple(tensors), whole, part)


def _dtype(draw: Draw, kind: str, most: int) -> torch.dtype:
    if kind == "bool":
        return torch.bool
    if kind == "float":
        return draw.rng.choice(FLOATS)
    fitting = [dtype for dtype in INTS if torch.iinfo(dtype).max >= most]
    return draw.rng.choice(fitting)


def values(
    draw: Draw,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    least: int = 0,
    most: int = 4,
    ordered: bool = False,
) -> Tensor:
    """Draw a tensor: ints from ``least`` to ``most``; floats in eighths, some of them finer."""
    generator = draw.generator()
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) < draw.rng.choice([0.3, 0.7, 0.95])
    if dtype.is_floating_point:
        wide = draw.rng.choice([1, 4, 40])
        steps = torch.randint(-8 * wide, 8 * wide + 1, shape, generator=generator) / 8
        return steps.to(dtype)
    least = max(least, 0 if dtype is torch.uint8 else least)
    found = torch.randint(least, most + 1, shape, generator=generator)
    return (found.sort(-1).values if ordered and shape else found).to(dtype)


def _bits(tensors: Sequence[Tensor]) -> tuple[int, int]:
    """Return how many bits the values have before and after the point."""
    largest = max(float(tensor.double().abs().max()) for tensor in tensors)
    return max(1, int(largest).bit_length()), 3 if tensors[0].is_floating_point() else 0
