"""What a picture is of: a program, and a call that it is looked at in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from maskc.compiled import Compiled
from maskc.ir.nodes import Axis, Coord, walk
from maskc.ir.types import Sz

Array = NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """A program in a call of known sizes.

    Attributes:
        program: the program.
        sizes: of the call, by the names of ``bind``'s arguments.
        inputs: an array for each input, or a pair, for queries and for keys.
        batch: which batch is looked at.
        head: which head.
        block: the side of a tile.
        q_offset: the logical position of query row 0.
        q_positions: logical positions of the query rows, in place of an offset.
        kv_positions: likewise of the key rows.

    """

    program: Compiled
    sizes: Mapping[str, int]
    inputs: Mapping[str, Array | tuple[Array, Array]] = field(default_factory=dict)
    batch: int = 0
    head: int = 0
    block: int = 128
    q_offset: int = 0
    q_positions: Array | None = None
    kv_positions: Array | None = None

    @property
    def q_len(self) -> int:
        """How many queries there are."""
        return self.sizes[Sz.Q_LEN.value]

    @property
    def kv_len(self) -> int:
        """How many keys there are."""
        return self.sizes[Sz.KV_LEN.value]

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the token grid that the program reads, the outermost first."""
        found = {t.axis for t in walk(*self.program.written.roots) if isinstance(t, Coord)}
        return tuple(sorted(found, key=lambda axis: (-axis.stride * axis.size, -axis.stride)))


def block_for(length: int) -> int:
    """Return the side of a tile: that of a kernel, or smaller where few such tiles would fit."""
    side = 128
    while side > 1 and length < 8 * side:
        side //= 2
    return side
