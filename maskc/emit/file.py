"""A program as a Python file that needs torch, and nothing of maskc.

Positions are rows. An input may have the batch in front or not, and dimensions of size 1
broadcast.
"""

from __future__ import annotations

import re
import textwrap
from importlib import metadata
from inspect import getsource, isfunction
from typing import get_args

from maskc.analysis.scores.score_class import Additive, classify
from maskc.compiled import Compiled
from maskc.emit import functions, helpers
from maskc.emit import mods as standalone
from maskc.errors import BindError, LoweringError, did_you_mean
from maskc.ir.nodes import OUT, SCORE, TRUE, Module, TopK, reads, walk
from maskc.ir.types import Dim, Given
from maskc.lower.codegen.tensors import imports
from maskc.lower.plan import CAUSAL
from maskc.options import Target

TARGETS: tuple[Target, ...] = get_args(Target)

_WIDEST = 92
"""Columns of a line of the program in the header."""


def emit(program: Compiled, target: Target) -> str:
    """Return the source of a Python file that does what the program does.

    Args:
        program: what to write.
        target: ``flex`` for the keywords of ``flex_attention``, ``sdpa`` for the mask of
            ``scaled_dot_product_attention``, ``module`` for a whole ``attention(q, k, v)``.

    Raises:
        BindError: there is no such target, or the program selects keys, which only tensors can.
        LoweringError: the target does not carry all of the program.

    """
    if not isinstance(target, str) or target not in TARGETS:
        help = did_you_mean(target, TARGETS) or f"expected one of {', '.join(TARGETS)}"
        raise BindError("M425", f"unknown target `{target}`", help=help)
    _refuse(program, target)
    program.refuse_open()
    rows = standalone.rows_of(program.module)
    docs = {declared.name: declared.doc for declared in program.inputs}
    parts = [*standalone.builders(rows), standalone.mods(program.module, rows, docs)]
    parts += _flex(rows) if target == "flex" else _sdpa(program, rows, target)
    parts += _helpers("\n".join(parts))
    body = "\n\n\n".join(part.strip("\n") for part in parts)
    future = ["", "from __future__ import annotations", ""]
    head = [*_header(program), *future, *_imports(rows, body)]
    return "\n".join(head) + f"\n\n\n{body}\n"


def _refuse(program: Compiled, target: str) -> None:
    """Refuse what cannot be written: selections, and what no keyword of a kernel carries."""
    module = program.module
    selection = next((term for term in walk(*module.roots) if isinstance(term, TopK)), None)
    if selection is not None:
        message = "`topk` becomes tensors when it is bound, before there is no code for it"
        help = "bind the program and read `bound.mask_mod.source`"
        raise BindError("M426", message, selection.span, help)
    has_policy = program.empty_rows != "zero" and module.mask != TRUE
    carried = not has_policy or (target == "sdpa" and program.empty_rows != "nan")
    if target == "module" or (module.out == OUT and carried):
        return
    what = f'empty_rows="{program.empty_rows}"' if module.out == OUT else "an epilogue `out = ...`"
    message = f"the program has {what}, which no keyword of {target} carries"
    raise LoweringError("M507", message, module.out.span, '`emit("module")` writes all of it')


def _flex(rows: Module) -> list[str]:
    deps = rows.mask.deps
    return [functions.flex_args(rows.mask != TRUE, Dim.BATCH in deps, Dim.HEAD in deps)]


def _sdpa(program: Compiled, rows: Module, target: str) -> list[str]:
    masks, ends = rows.mask != TRUE, rows.out != OUT
    score = _score(program.module)
    plain = score == "same" and program.empty_rows == "zero"
    kind = "none" if not masks and score == "same" else score
    kind = "causal" if plain and rows.mask == CAUSAL and target == "module" and not ends else kind
    parts: list[str] = []
    if kind != "none":
        parts.append(functions.attn_mask(masks, score, program.empty_rows))
    if target == "module":
        nan = program.empty_rows == "nan" and masks
        lse = reads(rows.out, Given.LSE)
        parts.append(functions.attention(kind, ends, lse, nan, bool(program.inputs)))
    return parts


def _helpers(body: str) -> list[str]:
    """Return the helpers that a body calls, and those that they call, in the order they stand."""
    every = {name: one for name, one in vars(helpers).items() if isfunction(one)}
    used: dict[str, str] = {}
    while new := [n for n in every if n not in used and re.search(rf"\b{n}\(", body)]:
        used |= {name: getsource(every[name]) for name in new}
        body = "\n".join(used.values())
    return [used[name] for name in every if name in used]


def _score(module: Module) -> str:
    if module.score == SCORE:
        return "same"
    return "added" if isinstance(classify(module.score), Additive) else "changed"


def _header(program: Compiled) -> list[str]:
    written = [*program.source.splitlines()]
    written += [f"with {name} = {value}" for name, _, value in program.recipe.constants]
    if program.empty_rows != "zero":
        written.append(f'with empty_rows = "{program.empty_rows}"')
    lines = [textwrap.wrap(standalone.plain(line), _WIDEST) or [""] for line in written]
    return [
        '"""Attention for PyTorch; this file needs torch alone."""',
        "",
        f"# Written by maskc {_version()} from the program",
        "#",
        *(f"#     {part}".rstrip() for wrapped in lines for part in wrapped),
        "#",
        f"# whose digest is {program.digest}.",
    ]


def _version() -> str:
    try:
        return metadata.version("maskc")
    except metadata.PackageNotFoundError:
        return "(a checkout)"


def _imports(rows: Module, body: str) -> list[str]:
    standard = [line for line in imports(*rows.roots) if line.startswith("from math")]
    foreign = {
        "import torch": r"\btorch\.\w",
        "import torch.nn.functional as F": r"\bF\.",
        "from torch import Tensor": r"\bTensor\b",
        "from torch.nn.attention.flex_attention import create_block_mask": r"\bcreate_block_mask\b",
    }
    used = [line for line, sign in foreign.items() if re.search(sign, body)]
    if "Callable" in body:
        standard.insert(0, "from collections.abc import Callable")
    return [*standard, "from typing import Any", "", *used]
