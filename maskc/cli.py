"""The command ``maskc``; each of its commands has a file of its own in ``maskc/commands/``.

Every command takes a program as an expression, as a ``.mask`` file, or as a key of a config file
(``config.toml:model.attention.mask``). Exit codes: 0 fine, 1 the program is wrong, backends
disagree or equality is not proved, 2 wrong usage.
"""

from __future__ import annotations

import sys
from typing import Any

from maskc.errors import MaskcError

try:
    import click

    from maskc.commands.check import check
    from maskc.commands.diff import diff
    from maskc.commands.emit import emit
    from maskc.commands.equiv import equiv
    from maskc.commands.explain import explain
    from maskc.commands.fmt import fmt
    from maskc.commands.listing import list_library
    from maskc.commands.plan import plan
    from maskc.commands.show import show
    from maskc.commands.trace import trace
    from maskc.commands.why import why
    from maskc.view.terminal import report, warnings_reported
except ModuleNotFoundError:
    sys.exit("the command needs click and rich: pip install 'maskc[cli]'")

COMMANDS = (check, fmt, explain, why, equiv, list_library, show, diff, emit, trace, plan)


class Commands(click.Group):
    """A group whose commands print a program's error and exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with warnings_reported():
                return super().invoke(ctx)
        except MaskcError as error:
            report(error)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maskc")
def main() -> None:
    """Compile attention masks and score modifications.

    PROGRAM is an expression ('causal & window(512)'), a file (gemma2.mask) or a key of a config
    file (model.toml:attention.mask).
    """


for each in COMMANDS:
    main.add_command(each)
