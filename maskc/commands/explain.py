"""``maskc explain``: what a program becomes, where it runs, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.output import json_option, say_json
from maskc.view.terminal import say


@click.command()
@arguments.program_argument
@arguments.define_option
@json_option
def explain(program: str, constants: tuple[tuple[str, Any], ...], as_json: bool) -> None:
    """Tell what a program becomes, where it runs, and why."""
    compiled = load_program(program, constants)
    if not as_json:
        say(compiled.explain())
        return
    from maskc.explain.laws import changes
    from maskc.explain.program import topics
    from maskc.passes.meanings import MEANINGS

    laws = [
        {**asdict(change), "law_in_general": MEANINGS[change.law]} for change in changes(compiled)
    ]
    say_json({**topics(compiled), "changes": laws})
