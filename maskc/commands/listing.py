"""``maskc list``: the standard library and the functions."""

from __future__ import annotations

from dataclasses import asdict

import click

from maskc.commands.output import json_option, say_json
from maskc.view.terminal import console


@click.command("list")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def list_library(names: tuple[str, ...], as_json: bool) -> None:
    """Print the standard library, or some names of it."""
    from maskc.errors import did_you_mean
    from maskc.view.library import entries, functions, print_library

    listed = entries()
    known = {entry.name for entry in listed}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise click.UsageError(f"no name {name!r}{f', {hint}' if hint else ''}")
    if as_json:
        shown = [*listed, *functions()] if not names else [e for e in listed if e.name in names]
        say_json([asdict(entry) for entry in shown])
        return
    with console() as terminal:
        print_library(terminal, names)
