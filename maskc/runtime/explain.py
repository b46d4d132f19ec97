"""What a program is, in words: what was written, what it became, and what each backend does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskc.analysis.score import Additive, classify
from maskc.ir.layers import LAYER
from maskc.ir.nodes import SCORE, TRUE, Expr, Module, reads
from maskc.ir.text import to_text
from maskc.ir.types import Dim, Given

if TYPE_CHECKING:
    from maskc.runtime.program import Program

_DIMS = ((Dim.BATCH, "batch"), (Dim.HEAD, "head"), (Dim.Q, "q"), (Dim.K, "k"))


def explain(program: Program) -> str:
    """Return the explanation, a heading and its lines for each topic."""
    module = program.module
    topics = {
        "written": to_text(program.written).splitlines(),
        "became": to_text(module).splitlines(),
        "by": [", ".join(program.laws)] if program.laws else [],
        "hides": list(program.hidden),
        "inputs": _inputs(program),
        "params": _params(program),
        "depends": _dependences(module),
        "score": [_score_class(module)],
        "flex": _flex(module),
        "sdpa": _sdpa(module),
        "reference": ["dense scores [B, H, Q, K] in float32, or float64 for float64 tensors"],
        "empty rows": [_EMPTY[program.empty_rows]],
        "digest": [program.digest],
    }
    return "\n".join(_topic(name, lines) for name, lines in topics.items() if lines)


_EMPTY = {
    "zero": "a query without a key gives 0, its log-sum-exp is -inf",
    "all": "a query without a key attends to every key",
    "nan": "a query without a key gives NaN",
    "error": "a query without a key is an error when tensors are bound",
}


def _topic(name: str, lines: list[str]) -> str:
    return "\n".join(f"{name if place == 0 else '':<11}{line}" for place, line in enumerate(lines))


def _inputs(program: Program) -> list[str]:
    return [
        f"{declared.name}: {declared.type}" + (f" - {declared.doc}" if declared.doc else "")
        for declared in program.inputs
    ]


def _params(program: Program) -> list[str]:
    listed = {name: f"{name} = {value}" for name, value in program.params.items()}
    if program.open_layer is not None:
        listed[LAYER] += " here; the program stands for all layers"
    return list(listed.values())


def _dependences(module: Module) -> list[str]:
    parts = {"mask": module.mask, "score": module.score, "out": module.out}
    return [f"{name} on {dims}" for name, expr in parts.items() if (dims := _dims(expr))]


def _dims(expr: Expr) -> str:
    if expr == SCORE or not expr.deps:
        return ""
    return ", ".join(name for dim, name in _DIMS if dim & expr.deps)


def _score_class(module: Module) -> str:
    if module.score == SCORE:
        return "unchanged"
    if not reads(module.score, Given.SCORE):
        return "replaced: the result does not depend on q and k"
    return (
        "score + a bias"
        if isinstance(classify(module.score), Additive)
        else "a function of the score"
    )


def _flex(module: Module) -> list[str]:
    mask = "no block mask" if module.mask == TRUE else "a block mask and a mask_mod"
    score = "no score_mod" if module.score == SCORE else "a score_mod"
    lines = [f"{mask}, {score}; compiled on first use"]
    if reads(module.out, Given.LSE):
        lines.append("the epilogue reads lse, which runs eagerly on CPU")
    lines.append("on CPU forward only: a gradient is refused there")
    return lines


def _sdpa(module: Module) -> list[str]:
    causal = to_text(Module(module.mask, SCORE, module.out)).startswith("k <= q")
    lines: list[str] = []
    match module.mask == TRUE, module.score == SCORE:
        case True, True:
            lines.append("attn_mask=None, is_causal=False")
        case False, True if causal and module.mask.weight == 3:
            lines.append("attn_mask=None, is_causal=True (without offsets)")
        case False, True:
            lines.append("a boolean attn_mask, only as large as what it depends on")
        case _ if isinstance(classify(module.score), Additive):
            lines.append("a float attn_mask, the bias with -inf where the mask is false")
        case _:
            lines.append("a float attn_mask `f(s) - s` of [B, H, Q, K], computed from q and k")
    if reads(module.out, Given.LSE):
        lines.append("the epilogue reads lse, which is computed from dense scores as well")
    return lines
