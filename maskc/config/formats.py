"""The formats of config files: TOML and JSON by the standard library, YAML by PyYAML's safe loader.

A file is data: nothing in it is run, and what is wrong with it is shown at its line.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from maskc.config.malformed import MOST_LEVELS, malformed, place_of, sign
from maskc.config.strings import JSON, TOML
from maskc.errors import LoadError
from maskc.source import Source, Span

SUFFIXES = ("toml", "yaml", "yml", "json")


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
    _check_keys(source)
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at ")
        numbers = [int(number) for number in re.findall(r"\d+", place)]
        line, column = numbers if len(numbers) == 2 else (source.text.count("\n") + 1, 1)
        raise malformed("TOML", reason, place_of(source, line, column)) from None
    except (RecursionError, ValueError) as error:
        raise _excessive("TOML", source, TOML, error) from None


def _json(source: Source) -> Any:
    try:
        return json.loads(source.text)
    except json.JSONDecodeError as error:
        place = place_of(source, error.lineno, error.colno)
        raise malformed("JSON", error.msg, place) from None
    except (RecursionError, ValueError) as error:
        raise _excessive("JSON", source, JSON, error) from None


def _yaml(source: Source) -> Any:
    try:
        from maskc.config import yaml_loader
    except ModuleNotFoundError:
        message = f"reading `{source.name}` needs PyYAML"
        raise LoadError("M606", message, help="install it: `pip install 'maskc[config]'`") from None
    return yaml_loader.load(source)


def _check_keys(source: Source) -> None:
    """Refuse a key of very many parts, which the parser of TOML reads in quadratic time."""
    if (result := _LONG_KEY.search(_blanked(source, TOML))) is not None:
        reason = f"a key has more than {MOST_LEVELS} parts"
        raise malformed("TOML", reason, sign(source, result.start()))


def _excessive(
    language: str, source: Source, strings: re.Pattern[str], error: RecursionError | ValueError
) -> LoadError:
    """Return the error of what a parser gives up on without a place: depth, or an endless int."""
    text = _blanked(source, strings)
    if isinstance(error, RecursionError):
        return malformed(language, "nested too deeply", _deep(source, text))
    long = _LONG_INT.search(text)
    reason = str(error) if long is None else f"an int has {len(long[0])} digits"
    return malformed(language, reason, None if long is None else sign(source, long.start()))


def _blanked(source: Source, strings: re.Pattern[str]) -> str:
    """Return a file's text with every sign of a string as one that means nothing."""
    return strings.sub(lambda found: "x" * len(found[0]), source.text)


def _deep(source: Source, text: str) -> Span | None:
    """Return the first bracket that is more than ``MOST_LEVELS`` deep."""
    level = 0
    for result in _BRACKET.finditer(text):
        level += 1 if result[0] in "[{" else -1
        if level > MOST_LEVELS:
            return sign(source, result.start())
    return None


_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MOST_LEVELS}}}")
_LONG_INT = re.compile(r"[0-9_]{1000,}")
_BRACKET = re.compile(r"[][{}]")
