"""The formats of config files: TOML and JSON by the standard library, YAML by PyYAML's safe loader.

A file is data: nothing in it is run, and what is wrong with it is shown at its line.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, ClassVar

from maskc.errors import MaskcError
from maskc.source import Source, Span

SUFFIXES = ("toml", "yaml", "yml", "json")


class LoadError(MaskcError):
    """A file that cannot be read, or a key that holds no program."""

    kind: ClassVar[str] = "load"


def parse(source: Source, suffix: str) -> Any:
    """Return what a config file holds.

    Args:
        source: its text, under its path.
        suffix: one of ``SUFFIXES``.

    Raises:
        LoadError: the text is not of that format, or PyYAML is needed and missing.

    """
    match suffix:
        case "toml":
            return _toml(source)
        case "json":
            return _json(source)
        case _:
            return _yaml(source)


def _toml(source: Source) -> Any:
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        numbers = [int(number) for number in re.findall(r"\d+", place)]
        line, column = numbers if len(numbers) == 2 else (source.text.count("\n") + 1, 1)
        raise _malformed("TOML", reason, _place(source, line, column)) from None
    except RecursionError:
        raise _malformed("TOML", "nested too deeply", None) from None


def _json(source: Source) -> Any:
    try:
        return json.loads(source.text)
    except json.JSONDecodeError as error:
        raise _malformed("JSON", error.msg, _place(source, error.lineno, error.colno)) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _malformed("JSON", reason, None) from None


def _yaml(source: Source) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        message = f"reading `{source.name}` needs PyYAML"
        raise LoadError("M602", message, help="install it: `pip install 'maskc[config]'`") from None
    try:
        return yaml.safe_load(source.text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = None if mark is None else _place(source, mark.line + 1, mark.column + 1)
        raise _malformed("YAML", error.problem or "unreadable", place) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _malformed("YAML", str(error).splitlines()[0], None) from None
    except RecursionError:
        raise _malformed("YAML", "nested too deeply", None) from None


def _malformed(language: str, reason: str, place: Span | None) -> LoadError:
    reason = reason[:1].lower() + reason[1:]
    return LoadError("M602", f"the file is not {language}: {reason}", place)


def _place(source: Source, line: int, column: int) -> Span:
    lines = source.text.split("\n")
    start = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
    start = min(start, len(source.text))
    return Span(source, start, start + 1)
