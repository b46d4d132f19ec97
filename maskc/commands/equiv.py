"""``maskc equiv``: whether two programs mean the same."""

from __future__ import annotations

import sys
from typing import Any

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.output import json_option, say_json
from maskc.view.terminal import say


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@arguments.define_option
@arguments.library_option
@json_option
def equiv(first: str, second: str, constants: tuple[tuple[str, Any], ...], as_json: bool) -> None:
    """Tell whether the programs A and B mean the same.

    Prints the smallest counterexample found, or how far the search went. Exits with 0 only if
    equality is proved.
    """
    comparison = load_program(first, constants).equivalent(load_program(second, constants))
    if as_json:
        say_json(comparison.as_dict())
    else:
        say(str(comparison))
    sys.exit(0 if comparison.equal else 1)
