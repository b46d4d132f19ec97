"""The inputs of a call from the command line: files, lengths of documents, or random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from maskc.analysis.input_uses import is_per_token
from maskc.errors import did_you_mean
from maskc.ir.nodes import Index, Load, walk
from maskc.ir.types import Ix
from maskc.view.drawn_inputs import drawn_inputs
from maskc.view.input_files import read_input
from maskc.view.looked_at import is_subscripted_plainly, names_read
from maskc.view.scene import Array, Scene
from maskc.view.seen import axis_sizes

if TYPE_CHECKING:
    from maskc.program import Program

TOKENS = (Ix.Q, Ix.K, Ix.Q_IDX, Ix.KV_IDX)


class InputType(click.ParamType[tuple[str, Path]]):
    """``name=file``."""

    name = "name=file"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Return the name and the path."""
        name, equals, path = str(value).partition("=")
        if not name or not path or not equals:
            self.fail(f"{value!r}, expected name=file: doc=doc.npy", param, ctx)
        return name, Path(path)


def read_inputs(program: Program, files: Sequence[tuple[str, Path]]) -> dict[str, Array]:
    """Return the arrays of files.

    Raises:
        click.UsageError: the program has no such input.
        LoadError: a file cannot be read.

    """
    known = [declared.name for declared in program.inputs]
    for name, _ in files:
        if name not in known:
            listed = f"there are {', '.join(known)}" if known else "it takes none"
            raise click.UsageError(f"no input {name!r}, {did_you_mean(name, known) or listed}")
    return {name: read_input(path) for name, path in files}


def with_documents(
    program: Program, inputs: Mapping[str, Array], lengths: Sequence[int], tokens: int
) -> dict[str, Array]:
    """Return the inputs with ids of documents for the one input of ids that is not given.

    Raises:
        click.UsageError: there is none, or there are several.

    """
    names = [name for name in _ids(program) if name not in inputs]
    if len(names) != 1:
        found = ", ".join(f"`{name}`" for name in names) or "none"
        message = f"--lengths makes the one input of ids that a token has, found {found}"
        raise click.UsageError(f"{message}: give the inputs with --input")
    return {**inputs, names[0]: documents(lengths, tokens)}


def documents(lengths: Sequence[int], tokens: int) -> Array:
    """Return the document of each token; the lengths are repeated until the sequence is full."""
    ends: list[int] = []
    for end in accumulate(cycle(lengths)):
        ends.append(min(end, tokens))
        if end >= tokens:
            break
    result: Array = np.repeat(np.arange(len(ends)), np.diff([0, *ends]))
    return result


def natural_length(program: Program, inputs: Mapping[str, Array]) -> int | None:
    """Return how many tokens the inputs, or the token grid, speak of; None if they do not say."""
    loads = [term for term in _loads(program) if term.input.name in inputs]
    sizes = [
        inputs[load.input.name].shape[place - len(load.indices)]
        for load in loads
        if inputs[load.input.name].ndim >= len(load.indices)
        for place, index in enumerate(load.indices)
        if isinstance(index, Index) and index.which in TOKENS
    ]
    if any(size > 1 for size in sizes):
        return int(min(size for size in sizes if size > 1))
    axes = axis_sizes(program)
    scene = Scene(program, {})
    return int(np.prod(list(axes.values()))) + scene.axes[0].start if scene.axes else None


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


def _ids(program: Program) -> list[str]:
    """Return the int inputs that tokens alone subscript."""
    loads: dict[str, list[Load]] = {}
    for load in _loads(program):
        loads.setdefault(load.input.name, []).append(load)
    return [
        name
        for name, uses in loads.items()
        if uses[0].input.type.value == "int" and is_per_token(uses)
    ]


def _loads(program: Program) -> list[Load]:
    return [term for term in walk(*program.module.roots) if isinstance(term, Load)]
