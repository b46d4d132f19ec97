"""A program over the rows of a call, to be looked at: without torch where that is enough.

What needs no more than arrays under plain subscripts is written over rows at once. The rest
(selections, computed subscripts, divisors that are not constant, a policy for rows without keys,
an input that does not fit) is bound as a call binds it, which checks it and imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from maskc.ir.domain import ArrayDomain, Domain
from maskc.ir.nodes import SCORE, Arith, Expr, Index, IntConst, Load, TopK, walk
from maskc.ir.operators import ArithOp
from maskc.ir.points import as_array
from maskc.ir.rows import Layout, Shape, side_name, to_rows
from maskc.ir.types import Ix, Sz, Type
from maskc.view.scene import Array, Scene

EXTENTS = {
    Ix.BATCH: Sz.BATCH_SIZE,
    Ix.HEAD: Sz.NUM_HEADS,
    Ix.KV_HEAD: Sz.NUM_KV_HEADS,
    Ix.Q: Sz.Q_LEN,
    Ix.Q_IDX: Sz.Q_LEN,
    Ix.K: Sz.KV_LEN,
    Ix.KV_IDX: Sz.KV_LEN,
}
"""How far an index runs."""

EXACT = (Ix.BATCH, Ix.HEAD, Ix.KV_HEAD)
"""Indices whose dimension has just so many entries."""

KINDS = {Type.BOOL: "b", Type.INT: "iu", Type.FLOAT: "f"}


class LookedAt(NamedTuple):
    """The mask and the score over rows, and what they run over."""

    mask: Expr
    score: Expr
    domain: Domain


def looked_at(scene: Scene) -> LookedAt:
    """Return the program of a scene over rows.

    Raises:
        BindError: an input does not fit the call.

    """
    scene.program.refuse_open()
    return _plain(scene) if _is_plain(scene) else _bound(scene)


def is_subscripted_plainly(*roots: Expr) -> bool:
    """Tell whether every input is subscripted by indices alone."""
    loads = (term for term in walk(*roots) if isinstance(term, Load))
    return all(isinstance(index, Index) for load in loads for index in load.indices)


def _is_plain(scene: Scene) -> bool:
    program, sizes = scene.program, scene.sizes
    roots = program.module.mask, program.module.score
    names = {term.input.name for term in walk(*roots) if isinstance(term, Load)}
    return (
        program.empty_rows == "zero"
        and scene.q_offset == 0
        and scene.q_positions is scene.kv_positions is None
        and sizes[Sz.NUM_HEADS.value] % sizes[Sz.NUM_KV_HEADS.value] == 0
        and names == scene.inputs.keys()
        and is_subscripted_plainly(*roots)
        and not any(map(_is_checked, walk(*roots)))
        and all(_fits(scene, term) for term in walk(*roots) if isinstance(term, Load))
    )


def _is_checked(term: Expr) -> bool:
    """Tell whether a term selects, or may divide by zero, which binding refuses."""
    match term:
        case Arith(ArithOp.FLOORDIV | ArithOp.MOD, _, divisor):
            return not isinstance(divisor, IntConst)
        case _:
            return isinstance(term, TopK)


def _fits(scene: Scene, load: Load) -> bool:
    """Tell whether an input surely covers what subscripts it."""
    indices = [index.which for index in load.indices if isinstance(index, Index)]
    for array in _sides(scene.inputs[load.input.name]):
        batched = array.ndim == len(indices) + 1
        if array.ndim != len(indices) + batched or array.dtype.kind not in KINDS[load.input.type]:
            return False
        for which, size in zip(
            [Ix.BATCH, *indices] if batched else indices, array.shape, strict=True
        ):
            extent = scene.sizes[EXTENTS[which].value]
            if size != 1 and (size < extent or (which in EXACT and size != extent)):
                return False
    return True


def _sides(bound: Array | tuple[Array, Array]) -> tuple[Array, ...]:
    return bound if isinstance(bound, tuple) else (bound,)


def _plain(scene: Scene) -> LookedAt:
    module = scene.program.module
    ranks = {
        term.input.name: len(term.indices)
        for term in walk(module.mask, module.score)
        if isinstance(term, Load)
    }
    shapes: dict[str, Shape | tuple[Shape, Shape]] = {}
    arrays: dict[str, Array] = {}
    for name, bound in scene.inputs.items():
        sides = [_shape(array, ranks[name]) for array in _sides(bound)]
        shapes[name] = sides[0] if len(sides) == 1 else (sides[0], sides[1])
        names = [name] if len(sides) == 1 else [side_name(name, side) for side in "qk"]
        arrays.update(zip(names, _sides(bound), strict=True))
    layout = Layout(shapes=shapes)
    domain = ArrayDomain(
        {which: scene.sizes[which.value] for which in Sz}, cast(Any, arrays), cast(Any, None)
    )
    return LookedAt(to_rows(module.mask, layout), to_rows(module.score, layout), domain)


def _shape(array: Array, rank: int) -> Shape:
    return Shape(array.ndim > rank, tuple(size == 1 for size in array.shape))


def _bound(scene: Scene) -> LookedAt:
    import torch

    from maskc.binding.call import call_spec
    from maskc.run.state import bind_state

    spec = call_spec(
        **cast(Any, dict(scene.sizes)),
        device=torch.device("cpu"),
        block_size=128,
        q_offset=scene.q_offset,
        kv_offset=0,
        head_offset=None,
        q_positions=_tensor(scene.q_positions),
        kv_positions=_tensor(scene.kv_positions),
        compact=False,
        backward=False,
    )
    given: dict[str, Any] = {}
    for name, bound in scene.inputs.items():
        sides = tuple(map(_tensor, _sides(bound)))
        given[name] = sides if len(sides) == 2 else sides[0]
    state = bind_state(scene.program, spec, given)
    score = state.with_score(spec, given) if scene.program.module.score != SCORE else None
    domain = (score or state.mask).domain
    arrays = {name: as_array(tensor) for name, tensor in domain.tensors.items()}
    plain = ArrayDomain(domain.sizes, cast(Any, arrays), domain.device)
    return LookedAt(state.mask.expr, SCORE if score is None else score.score, plain)


def _tensor(array: Array | None) -> Any:
    import torch

    return None if array is None else torch.from_numpy(np.array(array))


def names_read(scene: Scene) -> Iterator[str]:
    """Yield the names of the inputs that a picture needs."""
    roots = scene.program.module.mask, scene.program.module.score
    yield from dict.fromkeys(t.input.name for t in walk(*roots) if isinstance(t, Load))
