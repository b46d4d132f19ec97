"""Random arrays for inputs that nobody gave, without torch: what a picture shows by default.

They are of the kinds that ``maskc.testing`` draws, for inputs that indices alone subscript.
"""

from __future__ import annotations

import numpy as np

from maskc.analysis.input_uses import IDS, TRUE_SHARE, is_per_token, is_position
from maskc.ir.nodes import Index, Input, Load, walk
from maskc.ir.types import Sz, Type
from maskc.view.looked_at import EXTENTS
from maskc.view.scene import Array, Scene


def drawn_inputs(scene: Scene, names: set[str], seed: int) -> dict[str, Array]:
    """Return an array for each of the inputs named, all of which indices alone subscript."""
    module = scene.program.module
    loads: dict[Input, list[Load]] = {}
    for term in walk(*module.roots):
        if isinstance(term, Load) and term.input.name in names:
            loads.setdefault(term.input, []).append(term)
    random = np.random.default_rng(seed)
    return {source.name: _drawn(scene, source, uses, random) for source, uses in loads.items()}


def _drawn(scene: Scene, source: Input, loads: list[Load], random: np.random.Generator) -> Array:
    shape = _shape(scene, loads)
    batches = scene.sizes[Sz.BATCH_SIZE.value]
    if is_per_token(loads) and source.type is not Type.FLOAT and batches > 1:
        shape = (batches, *shape)
    match source.type:
        case Type.FLOAT:
            return random.standard_normal(shape, dtype=np.float32)
        case Type.BOOL:
            return random.random(shape) < TRUE_SHARE
        case Type.INT if is_position(source, scene.program.module):
            return random.integers(1, max(scene.q_len, scene.kv_len) + 1, shape)
        case Type.INT if is_per_token(loads):
            ends = random.random((*shape[:-1], 1, IDS - 1)) * shape[-1]
            found: Array = (np.arange(shape[-1])[:, None] >= ends).sum(-1)
            return found
        case Type.INT:
            return random.integers(0, IDS, shape)


def _shape(scene: Scene, loads: list[Load]) -> tuple[int, ...]:
    subscripts = zip(*(load.indices for load in loads), strict=True)
    return tuple(
        max(scene.sizes[EXTENTS[index.which].value] for index in uses if isinstance(index, Index))
        for uses in subscripts
    )
