"""What the command prints: text, tables, and errors in colour.

Output that cannot be written, to a full disk or to a pipe that nobody reads, is an error as any.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from maskc.errors import LoadError, MaskcError, MaskcWarning, printable, render
from maskc.files.read import reason

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, nl: bool = True) -> None:
    """Print a text.

    Raises:
        LoadError: the output cannot be written.

    """
    from click import echo

    with output():
        echo(printable(text), nl=nl)


def report(error: MaskcError | MaskcWarning, gap: bool = False) -> None:
    """Print an error where errors go, with a ``gap`` before what follows.

    Nobody can be told where that fails.
    """
    from click import echo

    with suppress(OSError):
        echo(coloured(render(error)) + "\n" * gap, err=True)


@contextmanager
def warnings_reported() -> Iterator[None]:
    """Print maskc's warnings as its errors are printed."""
    show = warnings.showwarning

    def report_or_show(message: Warning | str, *place: Any, **more: Any) -> None:
        if isinstance(message, MaskcWarning):
            report(message, gap=True)
        else:
            show(message, *place, **more)

    with warnings.catch_warnings():
        warnings.showwarning = report_or_show
        yield


@contextmanager
def console() -> Iterator[Console]:
    """Give the console for tables and colours.

    Raises:
        LoadError: the output cannot be written.

    """
    from rich.console import Console

    class Strict(Console):
        """A console that says when nobody reads."""

        def on_broken_pipe(self) -> None:
            raise

    with output():
        yield Strict()


@contextmanager
def output() -> Iterator[None]:
    """Turn a failure to write what is printed into an error of ours."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        _discard_output()
        raise LoadError("M605", f"cannot write the output: {reason(error)}") from None


def _discard_output() -> None:
    """Drop what is still to be written, or the interpreter tries again when it ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


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
    colour = "yellow" if code.startswith("warning") else "red"
    lines = [style(code, fg=colour, bold=True) + style(colon + message, bold=True)]
    for line in rest:
        if set(line.partition("|")[2].strip()) == {"^"}:
            lines.append(style(line, fg=colour))
        elif line.lstrip().startswith("= help:"):
            lines.append(style(line, fg="cyan"))
        else:
            lines.append(line)
    return "\n".join(lines)
