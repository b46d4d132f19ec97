"""``maskc fmt``: .mask files into the house form."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from maskc.commands.project import project
from maskc.config.search import mask_files
from maskc.errors import MaskcError
from maskc.files.read import read_file
from maskc.files.write import write_text
from maskc.source import Source
from maskc.view.terminal import report, say, with_bar


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1)
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; exit with 1 for a change."
)
def fmt(files: tuple[str, ...], only_check: bool) -> None:
    """Put .mask files into the house form.

    A folder stands for all such files in it. Comments stay. Without a FILE, the folders of
    [tool.maskc] in pyproject.toml are formatted.
    """
    named = files or project().folders
    if not named:
        raise click.UsageError("Missing argument 'FILE...', or folders of [tool.maskc]")
    paths = [path for file in named for path in mask_files(file)]
    results = [
        _fails(path) if isinstance(path, MaskcError) else _format(path, only_check)
        for path in with_bar(paths, "fmt")
    ]
    if not all(results):
        sys.exit(1)


def _format(path: Path, only_check: bool) -> bool:
    """Format one file; tell whether it is well formed, and with ``only_check`` as it should be."""
    from maskc.syntax.format import formatted
    from maskc.syntax.parse import parse

    try:
        file = read_file(path)
    except MaskcError as unreadable:
        return _fails(unreadable)
    source = Source(file.text, str(path))
    _, errors = parse(source)
    for error in errors:
        report(error, gap=True)
    new = file.written if errors else formatted(source).replace("\n", file.line_end)
    if new == file.written:
        return not errors
    if only_check:
        say(f"{path}: would change")
        return False
    try:
        write_text(path, new)
    except MaskcError as unwritable:
        return _fails(unwritable)
    say(f"{path}: formatted")
    return True


def _fails(error: MaskcError) -> bool:
    """Print the error of one file of several."""
    report(error, gap=True)
    return False
