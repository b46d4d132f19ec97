"""The inputs of a scene that nobody gave, drawn at random: without torch where that is enough."""

from __future__ import annotations

from dataclasses import replace

from maskc.view.drawn_inputs import drawn_inputs
from maskc.view.looked_at import is_subscripted_plainly, names_read
from maskc.view.scene import Array, Scene


def complete(scene: Scene, seed: int) -> Scene:
    """Return the scene with random inputs where none are given."""
    wanted = {name for name in names_read(scene) if name not in scene.inputs}
    if not wanted:
        return scene
    roots = scene.program.module.mask, scene.program.module.score
    if is_subscripted_plainly(*roots):
        drawn = drawn_inputs(scene, wanted, seed)
    else:
        drawn = _drawn_by_torch(scene, wanted, seed)
    return replace(scene, inputs={**scene.inputs, **drawn})


def _drawn_by_torch(scene: Scene, wanted: set[str], seed: int) -> dict[str, Array]:
    """Return random inputs whose sizes follow from what subscripts them."""
    import torch

    from maskc.program import Program
    from maskc.testing import random_inputs

    program = Program.of(scene.program)
    drawn = random_inputs(program, scene.sizes, torch.Generator().manual_seed(seed))
    return {name: x.numpy() for name, x in drawn.items() if name in wanted}
