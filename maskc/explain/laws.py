"""What each law of simplification did to one program: what it changed, before and after."""

from __future__ import annotations

from dataclasses import dataclass

from maskc.compiled import Compiled
from maskc.explain.as_written import one_line
from maskc.ir.nodes import Expr
from maskc.ir.text import expr_text
from maskc.passes.support.driver import simplify, simplify_at_every_pair

FORM = ("arrange", "flatten", "widen_ints")
"""Laws that change how a program is written, and nothing that a reader asks for."""

MOST_CHANGES = 3
"""Of one law that are told; the rest are counted."""

LONGEST = 160
"""Characters of both sides; longer ones are cut."""


@dataclass(frozen=True, slots=True)
class Change:
    """One use of a law.

    Attributes:
        law: its name.
        within: the user's own text where it happened; empty where that is ``before`` itself.
        before: the text of the term that it changed.
        after: what became of it.

    """

    law: str
    within: str
    before: str
    after: str

    def __str__(self) -> str:
        place = f"in `{self.within}`, " if self.within else ""
        return f"{place}{_cut(self.before)} becomes {_cut(self.after)}"


def changes(program: Compiled) -> tuple[Change, ...]:
    """Return what the laws did, in the order in which they did it, each change once."""
    found: dict[Change, None] = {}

    def watch(law: str, before: Expr, after: Expr) -> None:
        change = Change(law, _within(program, before), expr_text(before), expr_text(after))
        if change.before != change.after:
            found[change] = None

    run = simplify_at_every_pair if program.empty_rows == "all" else simplify
    run(program.written, watch=watch)
    return tuple(found)


def told(program: Compiled) -> list[str]:
    """Return what each law did, a line for each change; those of order and brackets are named."""
    listed: dict[str, list[Change]] = {}
    for change in changes(program):
        listed.setdefault(change.law, []).append(change)
    lines = [line for law, uses in listed.items() if law not in FORM for line in _lines(law, uses)]
    form = [law for law in FORM if law in listed]
    if form:
        lines.append(f"{', '.join(form)}: order, brackets and kinds of numbers")
    return lines


def _lines(law: str, uses: list[Change]) -> list[str]:
    lines = [f"{law}: {use}" for use in uses[:MOST_CHANGES]]
    more = len(uses) - MOST_CHANGES
    return lines if more <= 0 else [*lines, f"{law}: and {more} more such changes"]


def _within(program: Compiled, expr: Expr) -> str:
    """Return what the user wrote where a term stands, if it is short and reads otherwise."""
    span = expr.span
    if span is None or span.source != program.recipe.source:
        return ""
    text = one_line(span)
    return text if text != expr_text(expr) and len(text) <= LONGEST // 2 else ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
