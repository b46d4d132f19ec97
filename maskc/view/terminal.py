"""What the command prints: tables, and errors in colour."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console


Item = TypeVar("Item")

MANY = 20
"""Of fewer programs a person does not wait."""


def with_bar(items: Sequence[Item], label: str) -> Iterator[Item]:
    """Yield the items, with a bar on stderr where they are many and a person looks on."""
    from click import progressbar

    if len(items) < MANY or not sys.stderr.isatty():
        yield from items
        return
    with progressbar(items, label=label, file=sys.stderr) as shown:
        yield from shown


def print_table(
    console: Console, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Print rows of text under a title and a header; nothing in them is markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console.print(Text(title, style="bold"))
    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def coloured(rendered: str) -> str:
    """Return a rendered error with its code, its carets and its help in colour."""
    from click import style

    head, *rest = rendered.splitlines()
    code, colon, message = head.partition(":")
    lines = [style(code, fg="red", bold=True) + style(colon + message, bold=True)]
    for line in rest:
        if set(line.partition("|")[2].strip()) == {"^"}:
            lines.append(style(line, fg="red"))
        elif line.lstrip().startswith("= help:"):
            lines.append(style(line, fg="cyan"))
        else:
            lines.append(line)
    return "\n".join(lines)
