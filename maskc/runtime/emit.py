"""The code of a program as text, for reading: what flex or SDPA is given."""

from __future__ import annotations

from maskc.errors import BindError, did_you_mean
from maskc.ir.nodes import SCORE, TRUE, Module, TopK, walk
from maskc.ir.rows import Layout, to_rows
from maskc.lower.python import Kind, generate

TARGETS = ("flex",)


def emit(module: Module, target: str) -> str:
    """Return the source of the functions that a backend runs.

    Positions are rows and inputs have no batch in front; a bound program shows its own code as
    ``bound.mask_mod.source``.

    Raises:
        BindError: there is no such target, or the program selects keys, which only tensors can.

    """
    if target not in TARGETS:
        help = did_you_mean(target, TARGETS) or f"expected one of {', '.join(TARGETS)}"
        raise BindError("M425", f"unknown target `{target}`", help=help)
    selection = next((term for term in walk(*module.roots) if isinstance(term, TopK)), None)
    if selection is not None:
        message = "`topk` becomes tensors when it is bound, before there is no code for it"
        help = "bind the program and read `bound.mask_mod.source`"
        raise BindError("M426", message, selection.span, help)
    sections: list[str] = []
    if module.mask != TRUE:
        sections.append(generate(to_rows(module.mask, Layout()), Kind.MASK).source)
    if module.score != SCORE:
        sections.append(generate(to_rows(module.score, Layout()), Kind.SCORE).source)
    return (
        "\n\n".join(sections) or "# every query attends to every key: no mask_mod, no score_mod\n"
    )
