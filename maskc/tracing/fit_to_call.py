"""What torch allows of subscripts and a program does not, spelled out for the sizes of a call."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from maskc.elaborate.expressions import MAX_DEPTH
from maskc.ir.nodes import (
    Arith,
    Compare,
    Expr,
    Index,
    IntConst,
    Load,
    Module,
    Where,
    rewrite,
    walk,
)
from maskc.ir.operators import ArithOp, CompareOp
from maskc.ir.types import Ix
from maskc.tracing.run.symbol import LARGEST


def narrowed(
    module: Module, inputs: Mapping[str, Tensor], batch_size: int, num_heads: int
) -> dict[str, Tensor]:
    """Return the inputs with as many entries for batches and heads as the call has.

    torch reads what there is; a program wants exactly as many, so that a mistake is seen.
    """
    sizes = {Ix.BATCH: batch_size, Ix.HEAD: num_heads}
    result = dict(inputs)
    for term in walk(*module.roots):
        for dim, index in enumerate(term.indices if isinstance(term, Load) else ()):
            if isinstance(term, Load) and isinstance(index, Index) and index.which in sizes:
                tensor = result[term.input.name]
                if tensor.shape[dim] > sizes[index.which]:
                    result[term.input.name] = tensor.narrow(dim, 0, sizes[index.which])
    return result


def with_wrapped_subscripts(module: Module, inputs: Mapping[str, Tensor]) -> Module:
    """Return the module with subscripts below 0 counted from the end, as torch counts them."""

    def rule(term: Expr) -> Expr | None:
        if not isinstance(term, Load):
            return None
        sizes = inputs[term.input.name].shape
        indices = tuple(map(_wrapped, term.indices, sizes))
        return Load(term.input, indices, span=term.span)

    return module.map(lambda root: rewrite(root, rule))


def is_sayable(module: Module) -> bool:
    """Tell whether a module is small enough for a program."""
    return all(root.weight <= LARGEST and root.depth <= MAX_DEPTH for root in module.roots)


def _wrapped(index: Expr, size: int) -> Expr:
    if isinstance(index, Index | IntConst):
        return index
    from_end = Arith(ArithOp.ADD, index, IntConst(size))
    return Where(Compare(CompareOp.LT, index, IntConst(0)), from_end, index)


def without(module: Module, *missing: Ix) -> Module:
    """Return the module at batch or head 0, which torch takes where it is given no size."""

    def rule(term: Expr) -> Expr | None:
        return IntConst(0) if isinstance(term, Index) and term.which in missing else None

    if not any(which.dim in root.deps for which in missing for root in module.roots):
        return module
    return module.map(lambda root: rewrite(root, rule))
