"""One file to explore a program: its text, its inputs and its functions, without a server.

The parts that do not change from page to page are files beside this one; the template names them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from math import prod
from typing import Any

import numpy as np

from maskc.compiled import Compiled
from maskc.explain.as_written import as_written
from maskc.ir.nodes import SCORE, Expr, Index, Load, walk
from maskc.ir.types import Dim, Ix
from maskc.source import Span
from maskc.view.explorer.javascript import Javascript, to_javascript
from maskc.view.explorer.knobs import Knob, knobs
from maskc.view.explorer.tables import packed
from maskc.view.explorer.tree import Functions, tree_of
from maskc.view.scene import Array, Scene
from maskc.view.seen import axis_sizes

SCRIPTS = (
    "evaluate.js",
    "look.js",
    "draw.js",
    "why.js",
    "tell.js",
    "controls.js",
    "steer.js",
    "page.js",
)

LONGEST = 2**20
"""Of the sliders of sizes, where no input ends before."""

SIDES = (8, 16, 32, 64, 128, 256)
"""Of tiles that a page offers."""

Known = Mapping[str, Any]


def page(scene: Scene, known: Known | None = None) -> str:
    """Return the page.

    Args:
        scene: the program and the call that it starts with; ``param layer`` may have no value.
        known: ``counts`` of empty, partial and full tiles and the ``share`` of pairs that attend,
            where they are exact.

    Raises:
        MaskcError: something of the program has no meaning in JavaScript.

    """
    program = scene.program
    found = knobs(program)
    numbers: dict[Span | None, int] = {knob.span: n for n, knob in enumerate(found)}
    functions = Functions(program.recipe.source, numbers)
    data = _data(scene, found, functions, known)
    written = to_javascript(functions.roots, numbers)
    data["inputs"] = _inputs(scene, functions.roots, written)
    return _filled(
        {
            "title": escape(_title(program)),
            "style": _asset("page.css"),
            "data": json.dumps(data).replace("<", "\\u003c"),
            "script": "\n".join([*map(_asset, SCRIPTS[:-1]), _table(written), _asset("page.js")]),
        }
    )


def _data(
    scene: Scene, found: Sequence[Knob], functions: Functions, known: Known | None
) -> dict[str, Any]:
    """Return what the page is told, but for the inputs."""
    program = scene.program
    tree = as_written(program)
    mask = functions.add(program.written.mask)
    has_score = program.written.score != SCORE
    score = functions.add(program.written.score) if has_score else None
    deps = _deps(program)
    return {
        "program": list(_program_parts(program, found)),
        "sizes": dict(scene.sizes),
        "limits": _limits(scene),
        "offset": scene.q_offset,
        "positions": {"q": _listed(scene.q_positions), "k": _listed(scene.kv_positions)},
        "batch": scene.batch,
        "head": scene.head,
        "tile": scene.block,
        "sides": sorted({*SIDES, scene.block}),
        "knobs": [_knob(knob) for knob in found],
        "functions": {"mask": mask, "score": score},
        "tree": None if tree.mask is None else tree_of(tree.mask, functions),
        "steps": [
            {"label": functions.label(step) or [step.label], "fn": functions.add(step.expr)}
            for step in tree.score
        ],
        "reads": {
            "q": _reads_positions(program) and scene.q_positions is None,
            "batch": Dim.BATCH in deps and scene.sizes["batch_size"] > 1,
            "head": Dim.HEAD in deps and scene.sizes["num_heads"] > 1,
            "score": has_score,
        },
        "grid": _grid(scene),
        "fixed": _fixed(program, found),
        "known": None if known is None else dict(known),
    }


def _knob(knob: Knob) -> dict[str, Any]:
    kind = type(knob.value).__name__
    ends = {"least": knob.least, "most": knob.most}
    return {"name": knob.name, "doc": knob.doc, "kind": kind, "value": knob.value, **ends}


def _listed(positions: Array | None) -> list[int] | None:
    return None if positions is None else positions.tolist()


def _deps(program: Compiled) -> Dim:
    """Return what the program depends on, the batches of its inputs too."""
    deps = Dim.BATCH if program.inputs else Dim.NONE
    for root in program.written.roots:
        deps |= root.deps
    return deps


def _reads_positions(program: Compiled) -> bool:
    """Tell whether the program reads logical positions, so that an offset changes something."""
    terms = walk(*program.written.roots)
    return any(isinstance(term, Index) and term.which in (Ix.Q, Ix.K) for term in terms)


def _limits(scene: Scene) -> dict[str, tuple[int, int]]:
    """Return the least and the largest sizes that the sliders offer: inputs end somewhere."""
    positions = {"q_len": scene.q_positions, "kv_len": scene.kv_positions}
    most = {name: LONGEST if one is None else len(one) for name, one in positions.items()}
    for term in walk(*scene.program.written.roots):
        if isinstance(term, Load):
            for name, dim in (("q_len", Dim.Q), ("kv_len", Dim.K)):
                most[name] = min(most[name], _limit(scene, term, name, dim))
    return {name: (1, max(limit, scene.sizes[name])) for name, limit in most.items()}


def _limit(scene: Scene, load: Load, name: str, dim: Dim) -> int:
    """Return how many rows an input serves; where that is not seen at once, those it is given."""
    bound = scene.inputs.get(load.input.name)
    limit = LONGEST
    for place, index in enumerate(reversed(load.indices)):
        if dim not in index.deps or bound is None:
            continue
        shape = np.shape(bound[dim is Dim.K] if isinstance(bound, tuple) else bound)
        size = shape[len(shape) - 1 - place]
        is_plain = isinstance(index, Index)
        limit = min(limit, LONGEST if size == 1 else size if is_plain else scene.sizes[name])
    return limit


def _grid(scene: Scene) -> dict[str, Any] | None:
    """Return the token grid as frames of rows and columns, None without one of two axes."""
    sizes = axis_sizes(scene.program)
    if len(sizes) < 2 or not scene.axes:
        return None
    *frames, rows, columns = [1, 1, *sizes.values()]
    return {"start": scene.axes[0].start, "shape": [prod(frames), rows, columns]}


def _fixed(program: Compiled, found: Sequence[Knob]) -> str:
    """Return a sentence about the constants that the page cannot change."""
    turned = {knob.name for knob in found if knob.is_param}
    fixed = [f"{name} = {value}" for name, value in program.params.items() if name not in turned]
    if not fixed:
        return ""
    return f"{', '.join(fixed)}: fixed here; `maskc show -D NAME=VALUE` makes another page."


def _program_parts(program: Compiled, found: Sequence[Knob]) -> Iterator[str | dict[str, Any]]:
    """Yield the text of the program in pieces: plain, comments, and where its knobs stand."""
    text, at = program.source.strip("\n"), 0
    skipped = len(program.source) - len(program.source.lstrip("\n"))
    marks: list[tuple[int, int, dict[str, Any]]] = [
        (match.start(), match.end(), {"comment": match[0]}) for match in re.finditer("#.*", text)
    ]
    for n, knob in enumerate(found):
        start, end = knob.span.start - skipped, knob.span.end - skipped
        marks.append((start, end, {"knob": n, "text": knob.name if knob.is_param else None}))
    for start, end, part in sorted(marks, key=lambda mark: mark[:2]):
        if start >= at:
            yield text[at:start]
            yield part
            at = end
    yield text[at:]


def _inputs(scene: Scene, roots: Sequence[Expr], written: Javascript) -> list[dict[str, Any]]:
    """Return the inputs in the order in which the functions know them."""
    subscripts = {term.input: len(term.indices) for term in walk(*roots) if isinstance(term, Load)}
    listed = []
    for source in written.inputs:
        bound = scene.inputs[source.name]
        sides = bound if isinstance(bound, tuple) else (bound, bound)
        texts = [packed(source.name, np.asarray(side)) for side in sides]
        listed.append({"sides": texts, "subscripts": subscripts[source]})
    return listed


def _table(written: Javascript) -> str:
    """Return the functions of the program as a script."""
    listed = ",\n".join(written.functions)
    return (
        f"// The program: the mask, the score, and their parts.\nconst FUNCTIONS = [\n{listed}\n];"
    )


def _title(program: Compiled) -> str:
    lines = (line.partition("#")[0].strip() for line in program.source.splitlines())
    return "; ".join(line for line in lines if line)[:120]


def _filled(parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


@cache
def _asset(name: str) -> str:
    return files("maskc.view.explorer").joinpath(name).read_text(encoding="utf-8").rstrip("\n")
