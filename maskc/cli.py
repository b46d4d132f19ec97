"""The command ``maskc``; each of its commands has a file of its own in ``maskc/commands/``.

Every command takes a program as an expression, as a ``.mask`` file, or as a key of a config file
(``config.toml:model.attention.mask``). Exit codes: 0 fine, 1 the program is wrong, backends
disagree or equality is not proved, 2 wrong usage.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from maskc.errors import MaskcError, did_you_mean

try:
    import click

    from maskc.view.terminal import output, report, warnings_reported
except ModuleNotFoundError:
    sys.exit("the command needs click and rich: pip install 'maskc[cli]'")

COMMANDS = {
    "check": "check",
    "fmt": "fmt",
    "explain": "explain",
    "why": "why",
    "show": "show",
    "list": "listing:list_library",
    "equiv": "equiv",
    "diff": "diff",
    "emit": "emit",
    "trace": "trace",
    "plan": "plan",
}
"""Each command and its module, with its name there where that is another: one loads its own."""


class Commands(click.Group):
    """A group whose commands are imported when asked for; a program's error exits with 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None while a shell completes what is no command."""
        home = COMMANDS.get(cmd_name)
        if home is None:
            if ctx.resilient_parsing:
                return None
            ctx.fail(f"No such command {cmd_name!r}, {_hint(cmd_name)}")
        module, _, name = home.partition(":")
        command: click.Command = getattr(import_module(f"maskc.commands.{module}"), name or module)
        return command

    def main(self, *args: Any, **keywords: Any) -> Any:
        """Run the command line; what click itself cannot print, such as help, exits with 1."""
        try:
            with output():
                return super().main(*args, **keywords)
        except MaskcError as error:
            report(error)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with warnings_reported():
                return super().invoke(ctx)
        except MaskcError as error:
            report(error)
            ctx.exit(1)


def _hint(name: str) -> str:
    return did_you_mean(name, COMMANDS) or f"there are {', '.join(COMMANDS)}"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maskc")
def main() -> None:
    """Compile attention masks and score modifications.

    PROGRAM is an expression ('causal & window(512)'), a file (gemma2.mask) or a key of a config
    file (model.toml:attention.mask).
    """
