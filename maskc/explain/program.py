"""What a program is, in words: what was written, what it became, and what each backend does.

Costs are formulas in the sizes of a call; ``Bound.explain`` has the numbers of one.
"""

from __future__ import annotations

from maskc.analysis.distance import max_distance
from maskc.analysis.key_ranges.bound import compares_ids
from maskc.analysis.scores.score_class import (
    Additive,
    General,
    Identity,
    Scaled,
    ScoreClass,
    classify,
)
from maskc.analysis.scores.separate import separate
from maskc.compiled import Compiled
from maskc.elaborate.module import DeclaredInput
from maskc.elaborate.open_layer import LAYER
from maskc.explain.laws import told
from maskc.explain.visibility import empty_rows, looks_ahead
from maskc.ir.nodes import (
    FALSE,
    OUT,
    SCORE,
    TRUE,
    Compare,
    Expr,
    Index,
    Load,
    Module,
    reads,
    walk,
)
from maskc.ir.operators import CompareOp
from maskc.ir.text import expr_text, to_text
from maskc.ir.types import Dim, Given, Ix
from maskc.topics import render

MOST_LINES = 24
"""Of what was written; a longer program is shown up to there."""

MOST_READS = 4
"""Places where an input is read that are told."""

CAUSAL = Compare(CompareOp.LE, Index(Ix.K), Index(Ix.Q))

_DIMS = ((Dim.BATCH, "batch"), (Dim.HEAD, "head"), (Dim.Q, "q"), (Dim.K, "k"))
_SIZES = {
    Dim.BATCH: "batch_size",
    Dim.HEAD: "num_heads",
    Dim.Q: "q_len",
    Dim.K: "kv_len",
}
_EMPTY = {
    "zero": "such a query gives 0, its log-sum-exp is -inf",
    "all": "such a query attends to every key",
    "nan": "such a query gives NaN",
    "error": "such a query is an error when tensors are bound",
}


def explain(program: Compiled) -> str:
    """Return the explanation, a heading and its lines for each topic."""
    return render(topics(program))


def topics(program: Compiled) -> dict[str, list[str]]:
    """Return the lines of each topic."""
    module = program.module
    return {
        "written": _written(program),
        "laws": told(program),
        "became": to_text(module).splitlines(),
        "hides": list(program.hidden),
        "reads": _inputs(program),
        "params": _params(program),
        "depends": _dependences(module),
        "reaches": _reach(module),
        "looks ahead": [looks_ahead(module.mask)],
        "empty rows": _empty_rows(program),
        "score": _score(module),
        "flex": _flex(module),
        "sdpa": _sdpa(module),
        "banded": ["SDPA over bands of query rows, each against the keys that its mask needs"],
        "reference": [f"scores of all pairs, 4 bytes * {_size(Dim.ALL)}, a few times"],
        "digest": [program.digest],
    }


def _written(program: Compiled) -> list[str]:
    lines = program.source.strip("\n").splitlines()
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"... {more} more lines"]


def _inputs(program: Compiled) -> list[str]:
    return [
        f"{_reads(program.module, declared)}: {declared.type}"
        + (f" - {declared.doc}" if declared.doc else "")
        for declared in program.inputs
    ]


def _reads(module: Module, declared: DeclaredInput) -> str:
    """Return how an input is read: ``doc[q], doc[k]``."""
    read = [
        expr_text(term)
        for term in walk(*module.roots)
        if isinstance(term, Load) and term.input.name == declared.name
    ]
    shown = ", ".join(read[:MOST_READS]) + (", ..." if len(read) > MOST_READS else "")
    return shown or f"{declared.name}, which nothing reads now"


def _reach(module: Module) -> list[str]:
    """Return how far the furthest key of a query is, where something bounds it."""
    behind, ahead = max_distance(module.mask)
    if module.mask == FALSE or (behind is None and ahead is None):
        return []
    ends = {"behind": behind, "ahead of": ahead}
    return [f"{_count(count)} {side} its query" for side, count in ends.items()]


def _count(keys: int | None) -> str:
    return "any number of keys" if keys is None else f"at most {keys} keys" if keys else "no key"


def _params(program: Compiled) -> list[str]:
    listed = {name: f"{name} = {value}" for name, value in program.params.items()}
    if program.open_layer is not None:
        listed[LAYER] += " here; the program stands for all layers"
    return list(listed.values())


def _dependences(module: Module) -> list[str]:
    parts = {"mask": module.mask, "score": module.score, "out": module.out}
    return [f"{name} on {dims}" for name, expr in parts.items() if (dims := _dims(expr))]


def _dims(expr: Expr) -> str:
    if expr in (SCORE, OUT) or not expr.deps:
        return ""
    return ", ".join(name for dim, name in _DIMS if dim & expr.deps)


def _empty_rows(program: Compiled) -> list[str]:
    answer = empty_rows(program.module.mask)
    is_never = answer == "never" or answer.startswith("never:")
    return [answer] if is_never else [answer, _EMPTY[program.empty_rows]]


def _score(module: Module) -> list[str]:
    if not reads(module.score, Given.SCORE):
        return ["replaced: the tensors q and k do not matter"]
    match classify(module.score):
        case Identity():
            return ["unchanged"]
        case Additive(bias):
            return [f"score + {_bias(bias)}"]
        case Scaled() as scaled:
            return _factors(scaled)
        case General(_, overflows):
            lines = ["a nonlinear function of the score"]
            if overflows:
                lines.append("it can overflow; masked scores never reach it, so no gradient is NaN")
            return lines


def _factors(scaled: Scaled) -> list[str]:
    """Tell where each factor goes."""
    parts = {
        "scale": str(scaled.constant),
        "q by head": expr_text(scaled.head),
        "q": expr_text(scaled.query),
        "k": expr_text(scaled.key),
    }
    lines = ["linear in the score; its factors cost nothing:"]
    lines += [f"  {name} * {text}" for name, text in parts.items() if text != "1.0"]
    return lines if scaled.bias is None else [*lines, f"  + {_bias(scaled.bias)}"]


def _bias(bias: Expr) -> str:
    dims = _dims(bias)
    return f"a bias on {dims}" if dims else "a constant, which softmax ignores"


def _left(module: Module) -> ScoreClass:
    """Return the class of what is left once the factors are folded."""
    match classify(module.score):
        case Scaled(bias=bias):
            return Identity() if bias is None else Additive(bias)
        case form:
            return form


def _flex(module: Module) -> list[str]:
    is_kept = isinstance(_left(module), Identity)
    mask = "no block mask" if module.mask == TRUE else "a block mask and a mask_mod"
    lines = [f"{mask}, {'no score_mod' if is_kept else 'a score_mod'}; compiled on first use"]
    if module.mask != TRUE:
        pairs = "".join(f"{_SIZES[d]} * " for d in (Dim.BATCH, Dim.HEAD) if d & module.mask.deps)
        lines.append(f"block tables, 16 bytes * {pairs}(q_len / 128) * (kv_len / 128)")
    if compares_ids(module.mask):
        lines.append(
            "where tokens of one id stand side by side, a query sees one range of keys: faster"
        )
    if reads(module.out, Given.LSE):
        lines.append("the epilogue reads lse: on CPU torch then computes all scores, uncompiled")
    lines.append("on CPU it has no backward pass")
    return lines


def _sdpa(module: Module) -> list[str]:
    lines = [_sdpa_mask(module), *_folding(_left(module))]
    if reads(module.out, Given.LSE):
        lines.append("the epilogue reads lse, for which the scores of all pairs are computed again")
    return lines


def _sdpa_mask(module: Module) -> str:
    mask = module.mask
    match _left(module):
        case Identity() if mask == TRUE:
            return "attn_mask=None, is_causal=False; no memory"
        case Identity() if mask == CAUSAL:
            return "attn_mask=None, is_causal=True (without offsets); no memory"
        case Identity():
            return f"a boolean attn_mask, 1 byte * {_size(mask.deps)}"
        case Additive(bias):
            size = _size(mask.deps | bias.deps)
            return f"a float attn_mask with -inf where the mask is false, 4 bytes * {size}"
        case _:
            return f"a float attn_mask `f(s) - s` made from q and k, 4 bytes * {_size(Dim.ALL)}"


def _folding(left: ScoreClass) -> list[str]:
    """Tell of the form that only ``fold_bias=True`` asks for."""
    terms = separate(left.bias) if isinstance(left, Additive) else None
    if terms is None:
        return []
    what = "a product" if len(terms) == 1 else f"{len(terms)} products"
    return [f"with fold_bias=True no float mask: the bias is {what} of q and k, in their columns"]


def _size(deps: Dim) -> str:
    return " * ".join(size for dim, size in _SIZES.items() if dim in deps) or "1"
