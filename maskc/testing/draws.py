"""Random tensors that fit a program: what `maskc show` and `maskc diff` bind.

The size of a dimension is found by evaluating what subscripts it; the values come from how an
input is used. An int that is compared with a position is a length or a boundary, any other int is
an id, in runs along the sequence, as document ids are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import torch
from torch import Generator, Tensor

from maskc.analysis.equiv.at_sizes import call_sizes
from maskc.analysis.input_uses import COUNTS, IDS, TRUE_SHARE, is_per_token, is_position
from maskc.binding.plain import FLOATS
from maskc.errors import BindError, MaskcError
from maskc.ir.nodes import (
    Expr,
    Index,
    Input,
    Load,
    Module,
    inputs,
    walk,
)
from maskc.ir.rows import K_POSITION, Q_POSITION, Layout, Position, Shape, to_rows
from maskc.ir.types import Sz, Type
from maskc.ir.vectorize import Domain, everywhere, vectorize
from maskc.limits import MAX_INT
from maskc.program import Program
from maskc.testing.given import check_program

MOST = 2**24
"""Entries of one input; a subscript that needs more is not one to draw for."""


def random_inputs(
    program: Program,
    sizes: Mapping[str, int],
    generator: Generator | None = None,
    *,
    q_offset: int = 0,
    kv_offset: int = 0,
) -> dict[str, Tensor]:
    """Return a random tensor for every input that ``program`` reads.

    Args:
        program: what they are for.
        sizes: ``batch_size``, ``num_heads``, ``num_kv_heads``, ``q_len`` and ``kv_len``.
        generator: where the randomness comes from; torch's own by default.
        q_offset: the position of query row 0, as for ``bind``.
        kv_offset: the position of key row 0; likewise.

    Raises:
        MaskcError: the subscripts of two inputs need each other, so that neither has a size, or
            an input would be very large.

    """
    check_program(program)
    module, counts = program.module, call_sizes(sizes)
    for name, value in (("q_offset", q_offset), ("kv_offset", kv_offset)):
        if type(value) is not int or abs(value) > MAX_INT:
            message = f"`{name}` is an int, found {value!r:.80}"
            raise BindError("M403", message, help="it is a position, 0 for the first")
    offsets = {Q_POSITION.name: torch.tensor(q_offset), K_POSITION.name: torch.tensor(kv_offset)}
    domain = Domain(counts, offsets, torch.device("cpu"))
    drawn: dict[str, Tensor] = {}
    for source in _in_order(module):
        loads = [t for t in walk(*module.roots) if isinstance(t, Load) and t.input == source]
        subscripts = [load.indices for load in loads]
        shape = [_extent(indices, domain) for indices in zip(*subscripts, strict=True)]
        if is_per_token(loads) and source.type is not Type.FLOAT and counts[Sz.BATCH_SIZE] > 1:
            shape.insert(0, counts[Sz.BATCH_SIZE])
        if prod(shape) > MOST:
            message = f"input `{source.name}` would take {prod(shape)} random entries"
            raise MaskcError("M491", message, loads[0].span, "bind a tensor of your own")
        drawn[source.name] = _draw(source, loads, tuple(shape), module, domain, generator)
        domain = Domain(counts, {**offsets, **drawn}, domain.device)
    return drawn


def random_qkv(
    sizes: Mapping[str, int], width: int, dtype: str, generator: Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return q ``[B, H, Q, width]``, k and v ``[B, Hkv, K, width]`` from a normal distribution.

    Raises:
        MaskcError: a size or the width is no size, or ``dtype`` names no floats.

    """
    counts = call_sizes(sizes)
    kind = getattr(torch, dtype, None) if isinstance(dtype, str) else None
    if kind not in FLOATS:
        message = f"`dtype` is a name of floats, found {dtype!r:.80}"
        raise BindError("M403", message, help='for example "float32"')
    if type(width) is not int or width < 1:
        message = f"`width` is an int of at least 1, found {width!r:.80}"
        raise BindError("M403", message, help="it is `q.shape[-1]`")
    batch = counts[Sz.BATCH_SIZE]
    queries = (batch, counts[Sz.NUM_HEADS], counts[Sz.Q_LEN], width)
    keys = (batch, counts[Sz.NUM_KV_HEADS], counts[Sz.KV_LEN], width)
    q, k, v = (torch.randn(shape, generator=generator) for shape in (queries, keys, keys))
    return q.to(kind), k.to(kind), v.to(kind)


def _in_order(module: Module) -> Iterator[Input]:
    """Yield the inputs, those that subscripts read before those that they subscript."""
    waiting = {
        source: {
            inner
            for term in walk(*module.roots)
            if isinstance(term, Load) and term.input == source
            for inner in inputs(*term.indices)
        }
        for source in inputs(*module.roots)
    }
    while waiting:
        ready = [source for source, needs in waiting.items() if not needs & waiting.keys()]
        if not ready:
            names = ", ".join(f"`{source.name}`" for source in waiting)
            message = f"no sizes fit the inputs {names}: they subscript themselves"
            raise MaskcError("M490", message, help="bind tensors of your own")
        for source in ready:
            del waiting[source]
            yield source


def _extent(indices: tuple[Expr, ...], domain: Domain) -> int:
    """Return how many entries a dimension needs that ``indices`` run over."""
    for index in indices:
        if isinstance(index, Index) and index.which in COUNTS:
            return domain.sizes[COUNTS[index.which]]
    return max(1, 1 + max(_largest(index, domain) for index in indices))


def _largest(index: Expr, domain: Domain) -> int:
    shapes: dict[str, Shape | tuple[Shape, Shape]] = {}
    for load in (term for term in walk(index) if isinstance(term, Load)):
        tensor = domain.tensors[load.input.name]
        unit = tuple(size == 1 for size in tensor.shape)
        shapes[load.input.name] = Shape(tensor.dim() > len(load.indices), unit)
    row = to_rows(index, Layout(Position.OFFSET, Position.OFFSET, shapes=shapes))
    return int(vectorize(row, everywhere(domain), domain).max())


def _draw(
    source: Input,
    loads: list[Load],
    shape: tuple[int, ...],
    module: Module,
    domain: Domain,
    generator: Generator | None,
) -> Tensor:
    match source.type:
        case Type.FLOAT:
            return torch.randn(shape, generator=generator)
        case Type.BOOL:
            return torch.rand(shape, generator=generator) < TRUE_SHARE
        case Type.INT if is_position(source, module):
            most = max(_end(Sz.Q_LEN, Q_POSITION, domain), _end(Sz.KV_LEN, K_POSITION, domain))
            return torch.randint(1, most + 1, shape, generator=generator)
        case Type.INT if is_per_token(loads):
            ends = torch.rand((*shape[:-1], 1, IDS - 1), generator=generator) * shape[-1]
            return (torch.arange(shape[-1])[:, None] >= ends).sum(dim=-1)
        case Type.INT:
            return torch.randint(0, IDS, shape, generator=generator)


def _end(length: Sz, offset: Input, domain: Domain) -> int:
    """Return the position behind the last row."""
    return domain.sizes[length] + int(domain.tensors[offset.name])
