"""The standard library and the functions as lists: what each name means, and its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskc.elaborate.module import prelude
from maskc.elaborate.scope import FUNCTIONS, Family, LetName, Meaning, Overloads
from maskc.ir.nodes import Input
from maskc.source import Span

if TYPE_CHECKING:
    from rich.console import Console

FAMILIES = "For any number of axes"
INPUTS = "Inputs that these names read"
HEADING = re.compile(r"(?:\A|\n[ \t]*\n)# ?(\S[^\n]*)(?=\n[ \t]*\n)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A name of the standard library.

    Attributes: ``section`` (the heading in the file above it), ``name``, ``form`` (how it is
    written, with its parameters), ``declaration`` (the form, with what the arguments may be),
    ``meaning`` (its definition), ``doc``.

    """

    section: str
    name: str
    form: str
    declaration: str
    meaning: str
    doc: str


def entries() -> list[Entry]:
    """Return every name of the standard library, in the order of its file, inputs last."""
    scope = prelude()
    listed = [
        entry
        for name, meaning in scope.names.items()
        for entry in _entries(name, meaning, scope.docs.get(name, ""))
    ]
    return sorted(listed, key=lambda entry: (entry.section == INPUTS, entry.section == FAMILIES))


def functions() -> list[Entry]:
    """Return the functions of the language, in the order of their table."""
    listed = [fn.value for fn in FUNCTIONS.values()]
    return [Entry("Functions", one.name, one.form, one.form, "", one.doc) for one in listed]


def print_library(console: Console, names: tuple[str, ...] = ()) -> None:
    """Print the standard library and the functions by sections, or only some ``names``."""
    from rich.padding import Padding
    from rich.text import Text

    section = None
    for entry in [*entries(), *functions()]:
        if names and entry.name not in names:
            continue
        if entry.section != section:
            section = entry.section
            console.print(Text(f"{section}\n", style="bold underline"))
        meaning = f" = {entry.meaning}" if entry.meaning else ""
        console.print(
            Padding(Text.assemble((entry.declaration, "bold cyan"), meaning), (0, 0, 0, 2))
        )
        console.print(Padding(Text(entry.doc, style="dim"), (0, 0, 1, 6)))


def _entries(name: str, meaning: Meaning, doc: str) -> Iterator[Entry]:
    match meaning:
        case LetName(value=value):
            yield Entry(_section(value.span), name, name, name, value.span.text, doc)
        case Overloads(macros):
            for macro in macros:
                forms = macro.signature, macro.declaration
                body = macro.body.span.text
                yield Entry(_section(macro.span), name, *forms, body, macro.doc)
        case Input(_, kind):
            form = f"{name}: {kind.value}"
            yield Entry(INPUTS, name, form, form, "", doc)
        case Family(_, about):
            form = f"{name}(h, w, ...)"
            yield Entry(FAMILIES, name, form, form, "", about)
        case _:
            pass  # a library declares no constants and no axes


def _section(span: Span) -> str:
    """Return the heading above a definition: a comment line between two blank ones."""
    headings = HEADING.findall(span.source.text[: span.start])
    return str(headings[-1]) if headings else "Definitions"
