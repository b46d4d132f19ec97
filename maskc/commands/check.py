"""``maskc check``: every error and warning of programs, files, configs and folders."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import click

from maskc.commands import arguments
from maskc.commands.output import json_option, say_json
from maskc.commands.project import project
from maskc.config.search import KEYS, programs
from maskc.errors import MaskcError, MaskcWarning
from maskc.loading import read
from maskc.source import Source
from maskc.view.terminal import report, say, with_bar


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with one program."""

    ref: str
    errors: list[MaskcError]
    warnings: list[MaskcWarning] = field(default_factory=list)

    def is_fine(self, strict: bool) -> bool:
        """Tell whether it passes."""
        return not self.errors and not (strict and self.warnings)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "program": self.ref,
            "errors": [error_dict(error) for error in self.errors],
            "warnings": [error_dict(warning) for warning in self.warnings],
        }


@click.command()
@click.argument("names", metavar="PROGRAM...", nargs=-1)
@click.option(
    "--key",
    "keys",
    metavar="NAME",
    multiple=True,
    default=KEYS,
    show_default=True,
    help="A key whose text is a program, where a whole config file is checked.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning too.")
@arguments.library_option
@json_option
def check(names: tuple[str, ...], keys: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Print every error and warning of the programs.

    A folder stands for all programs in it, and a config file for its texts under the keys. Without
    a PROGRAM, the folders of [tool.maskc] in pyproject.toml are checked.
    """
    refs = names or project().folders
    if not refs:
        raise click.UsageError("Missing argument 'PROGRAM...', or folders of [tool.maskc]")
    libraries = arguments.libraries()
    results = [one for ref in refs for one in _check_all(ref, keys, libraries, as_json)]
    if as_json:
        say_json({"programs": [one.as_dict() for one in results]})
    wrong = sum(not one.is_fine(strict) for one in results)
    if wrong:
        if len(results) > 1 and not as_json:
            click.echo(f"{wrong} of {len(results)} programs are wrong", err=True)
        sys.exit(1)


def error_dict(error: MaskcError | MaskcWarning) -> dict[str, Any]:
    """Return an error as plain data; lines and columns count from 1."""
    found: dict[str, Any] = {"code": error.code, "message": error.message, "help": error.help}
    found["notes"] = list(error.notes)
    if error.span is None:
        return found
    source = error.span.source
    line, column = source.position(error.span.start)
    end_line, end_column = source.position(error.span.end)
    place = {"file": source.file, "line": line, "column": column}
    return {**found, **place, "end_line": end_line, "end_column": end_column}


def _check_all(
    ref: str, keys: tuple[str, ...], libraries: tuple[Source, ...], quiet: bool
) -> list[Checked]:
    """Check what a reference stands for, and print it unless ``quiet``."""
    listed = list(programs(ref, keys))
    if not listed and not quiet:
        say(f"{ref}: no program under {' or '.join(keys)}")
    results = []
    for one in with_bar(listed, ref):
        result = Checked(ref, [one]) if isinstance(one, MaskcError) else _check(one, libraries)
        results.append(result)
        if not quiet:
            _print(result)
    return results


def _check(ref: str, libraries: tuple[Source, ...]) -> Checked:
    """Return the errors and the warnings of one program."""
    from maskc.checking import check as errors_of
    from maskc.libraries.beside import naming_library
    from maskc.mistakes import mistakes_of

    try:
        located = read(ref)
        known = (*located.libraries, *libraries)
        errors = errors_of(located.source, known)
        warned = [] if errors else mistakes_of(located.source, known)
    except MaskcError as unreadable:
        return Checked(ref, [unreadable])
    return Checked(ref, [naming_library(error) for error in errors], warned)


def _print(result: Checked) -> None:
    for error in result.errors:
        report(error, gap=True)
    for warning in result.warnings:
        report(warning, gap=True)
    if not result.errors and not result.warnings:
        say(f"{result.ref}: fine")
