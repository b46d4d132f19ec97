"""The shape that an input needs, in words a user has: `[heads = 4, at least 32]`."""

from __future__ import annotations

from math import prod

from maskc.binding.call import CallSpec
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import Expr, Index, Load, inputs
from maskc.ir.rows import Layout, to_rows
from maskc.ir.text import quoted
from maskc.ir.types import Ix, Sz
from maskc.ir.vectorize import ROW_INDICES, Domain, everywhere, vectorize

FEW = 2**20
"""How many values of a subscript are looked at for an error message."""


def needed_shape(load: Load, spec: CallSpec) -> str:
    """Describe the shape an input should have in a call, by what subscripts it."""
    if not load.indices:
        return "a number or a tensor [batch_size]"
    dims = ", ".join(_dim(index, spec) for index in load.indices)
    return f"a tensor [{dims}]" if has_batch(load) else f"a tensor [{dims}] or [batch, {dims}]"


def has_batch(load: Load) -> bool:
    """Tell whether `batch` is an explicit subscript; then there is no batch in front."""
    return any(isinstance(index, Index) and index.which is Ix.BATCH for index in load.indices)


def _dim(index: Expr, spec: CallSpec) -> str:
    match index:
        case Index(Ix.HEAD) if not spec.head_offset:
            return f"heads = {spec.sizes[Sz.NUM_HEADS]}"
        case Index(Ix.KV_HEAD) if not spec.head_offset:
            return f"key heads = {spec.sizes[Sz.NUM_KV_HEADS]}"
        case Index(which):
            return which.value
    most = None if in_trace() else _largest(index, spec)
    return f"one for each `{quoted(index)}`" if most is None else f"at least {most + 1}"


def _largest(index: Expr, spec: CallSpec) -> int | None:
    """Return the largest value of a subscript in a call; None: inputs could tell, or it is long."""
    row = to_rows(index, Layout(spec.q, spec.k, spec.head_offset, spec.group))
    domain = Domain(spec.sizes, spec.tensors, spec.device)
    count = prod(domain.extent(which) for which in ROW_INDICES if which.dim in row.deps)
    if count > FEW or any(one.name not in spec.tensors for one in inputs(row)):
        return None
    most = int(vectorize(row, everywhere(domain), domain).max())
    return most if most >= 0 else None
