"""Block masks within ``torch.compile``: one operation of the graph, into which no trace looks.

A block mask built before is an argument of the graph like any tensor. Where there is none, the
tables become an operation: its inputs are the tensors that the mask reads and a number for all
else, so that new tensors compile nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.analysis.tables.block_tables import Tables, block_tables
from maskc.analysis.tables.on_device import tables_on_device
from maskc.analysis.tiles.classify import tile_map
from maskc.analysis.tiles.grid import Grid, grid_of
from maskc.ir.nodes import Expr, inputs
from maskc.ir.types import Sz
from maskc.ir.vectorize import Domain
from maskc.lower.codegen.mods import captured
from maskc.lower.codegen.tensors import Generated, Kind, generate

MOST_ON_DEVICE = 2**22
"""Of how many blocks tables are made on a GPU; it takes some 50 bytes for each."""

Operation = Callable[[int, list[int], list["Tensor"]], list["Tensor"]]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Blocks:
    """What a block mask is made of, but for sizes and tensors.

    Attributes:
        number: equal for equal masks.
        mask: the mask over rows.
        code: its Python.
        names: of the tensors it reads.
        block: rows of q and of kv in a tile.
        backward: whether to make the tables that a backward pass reads.
        device: of the tensors.
        operation: gives the tables; it is here so that a trace finds it made.

    """

    number: int
    mask: Expr
    code: Generated
    names: tuple[str, ...]
    block: tuple[int, int]
    backward: bool
    device: torch.device
    operation: Operation

    def domain(self, sizes: list[int], tensors: list[Tensor]) -> Domain:
        """Return what the mask runs over; sizes are in the order of ``Sz``."""
        named = dict(zip(self.names, tensors, strict=True))
        return Domain(dict(zip(Sz, sizes, strict=True)), named, self.device)


_defining = Lock()

_made: WeakValueDictionary[int, Blocks] = WeakValueDictionary()
_numbers = count()


@lru_cache(maxsize=1024)
def blocks(
    mask: Expr, device: torch.device, block: tuple[int, int], backward: bool = True
) -> Blocks:
    """Return what the block mask of a mask over rows is made of.

    Args:
        mask: the boolean row expression.
        device: where its tensors are.
        block: rows of q and of kv in a tile.
        backward: whether to make the tables that a backward pass reads.

    """
    code, names = generate(mask, Kind.MASK), tuple(read.name for read in inputs(mask))
    made = Blocks(next(_numbers), mask, code, names, block, backward, device, _operation())
    _made[made.number] = made
    return made


def traced_block_mask(blocks: Blocks, domain: Domain) -> BlockMask:
    """Return the block mask of a bound mask in a trace; its tables are never compact."""
    read = [domain.tensors[name] for name in blocks.names]
    made = blocks.operation(blocks.number, [domain.sizes[size] for size in Sz], read)
    tables = Tables(*made)
    tensors, sizes = captured(blocks.code, domain)
    return BlockMask(
        (domain.sizes[Sz.Q_LEN], domain.sizes[Sz.KV_LEN]),
        **tables._asdict(),
        BLOCK_SIZE=blocks.block,
        mask_mod=blocks.code.build(*tensors, *sizes),
    )


def _operation() -> Operation:
    """Return the operation ``maskc::block_tables``, defined when first asked for.

    Under a lock: torch takes a name once, and threads may ask together.
    """
    with _defining:
        return _defined()


@cache
def _defined() -> Operation:

    def tables(number: int, sizes: list[int], tensors: list[Tensor]) -> list[Tensor]:
        known = _made[number]
        made = _tables(known, known.domain(sizes, tensors))
        return [table for table in made if table is not None]

    def shapes(number: int, sizes: list[int], tensors: list[Tensor]) -> list[Tensor]:
        known = _made[number]
        grid = grid_of(known.mask, known.domain(sizes, tensors), known.block)
        return _empty_tables(grid, known.backward)

    many = list[Tensor]
    signature = {"number": int, "sizes": list[int], "tensors": many, "return": many}
    tables.__annotations__ = shapes.__annotations__ = signature  # torch reads them, not as text
    operation: Any = torch.library.custom_op(
        "maskc::block_tables", tables, mutates_args=(), tags=(torch.Tag.cudagraph_unsafe,)
    )
    operation.register_fake(shapes)
    defined: Operation = operation
    return defined


def _tables(known: Blocks, domain: Domain) -> Tables:
    """Return the tables; those of tensors on a GPU without a wait for it, unless they are many."""
    grid = grid_of(known.mask, domain, known.block)
    if known.names and known.device.type != "cpu" and grid.count <= MOST_ON_DEVICE:
        return tables_on_device(known.mask, domain, known.block, known.backward)
    result = tile_map(known.mask, domain, known.block)
    return block_tables(result, backward=known.backward)


def _empty_tables(grid: Grid, backward: bool) -> list[Tensor]:
    """Return tensors like the tables, with nothing in them."""
    tables = []
    for rows, columns in (grid.blocks, grid.blocks[::-1])[: 1 + backward]:
        for _ in ("partial", "full"):
            for shape in ((rows,), (rows, columns)):
                size = (grid.batch, grid.heads, *shape)
                tables.append(torch.empty(size, dtype=torch.int32, device=grid.device))
    return tables
