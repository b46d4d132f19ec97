"""The page of the standard library: each name with its definition, and links to its sources."""

from __future__ import annotations

import re
from itertools import groupby

from docs.generate.project import ROOT, source_url
from maskc.view.library import Entry, entries, functions

PAPER = re.compile(r"arXiv:(\d{4}\.\d{5})")
HEAD = """# The standard library

Every name, written in the language itself. Each links to its line in `prelude.mask`, and to the
paper that it is from; the [gallery](../examples/README.md) has the pictures. On a terminal:
`maskc list`, or `maskc list window`.

A program that uses a name whose definition reads an input, such as `doc` of `same_doc`, is
given that tensor when it is bound; [`maskc.integrations.inputs`](api.md#making-inputs) makes many.
"""
FUNCTIONS = """## Functions

What the language itself has, with 32 bits; see [the language](../grammar/README.md#scores).
"""


def page() -> str:
    """Return the page, in Markdown."""
    parts = [HEAD]
    for section, group in groupby(entries(), key=lambda entry: entry.section):
        parts += [f"## {section}\n", *(described(entry) for entry in group)]
    rows = "\n".join(f"| `{one.form}` | {one.doc} |" for one in functions())
    return "\n".join([*parts, FUNCTIONS, f"| | |\n|---|---|\n{rows}\n"])


def described(entry: Entry) -> str:
    """Return a name's part of the page."""
    doc = with_papers(entry.doc)
    line = line_of(entry)
    link = f" · [source]({source_url('grammar/prelude.mask')}#L{line})" if line else ""
    code = f"\n```\n{entry.meaning}\n```\n" if entry.meaning else ""
    return f"### `{entry.declaration}`\n\n{doc}{link}\n{code}"


def with_papers(prose: str) -> str:
    """Return prose in which each number of arXiv is a link."""
    return PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", prose)


def line_of(entry: Entry) -> int | None:
    """Return the line of ``prelude.mask`` that defines a name, None for what no text can define."""
    lines = (ROOT / "grammar/prelude.mask").read_text(encoding="utf-8").splitlines()
    starts = [f"{kind} {entry.declaration}" for kind in ("def", "let", "input")]
    named = [f"{kind} {entry.name}" for kind in ("def", "let", "input")]
    for heads in (starts, named):
        for number, line in enumerate(lines, 1):
            if any(line.startswith(head) for head in heads):
                return number
    return None
