"""What commands print for programs that read it."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import click

from maskc.view.terminal import say

json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


def say_json(value: Any) -> None:
    """Print a value as JSON; what is not finite, which JSON has no word for, is a string."""
    say(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not isfinite(value):
            return str(value)
        case _:
            return value
