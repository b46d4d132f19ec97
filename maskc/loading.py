"""Where a program's text comes from: the text itself, a ``.mask`` file, or a key of a config file.

Config files are read as data: TOML by the standard library, JSON likewise, YAML by PyYAML's safe
loader (extra ``config``). Codes: M601 unreadable file, M602 not the format that its name says,
M603 missing key, M604 not a text.
"""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from maskc.errors import MaskcError, did_you_mean
from maskc.source import Source, Span

PATH = re.compile(
    r"(?P<path>([A-Za-z]:\\)?[^\n:;|&]*\.(?P<suffix>mask|toml|ya?ml|json))(:(?P<key>[^\n]*))?"
)
"""What a path looks like; no expression does."""

SHOWN_KEYS = 5


class LoadError(MaskcError):
    """A file that cannot be read, or a key that holds no program."""

    kind: ClassVar[str] = "load"


def read_source(ref: str) -> Source:
    """Return the program that ``ref`` stands for.

    Args:
        ref: an expression, ``path.mask``, or ``config.toml:dotted.key`` (also ``.yaml``, ``.yml``
            and ``.json``). A number in a key picks from a list: ``layers.0.mask``.

    Raises:
        LoadError: the file cannot be read or parsed, or the key is missing or holds no text.

    """
    match = PATH.fullmatch(ref.strip())
    if match is None:
        return Source(ref)
    path, suffix, key = match["path"], match["suffix"], match["key"]
    text = _read(Path(path))
    if suffix == "mask":
        if key is not None:
            message = f"`{path}` is a program, it has no keys"
            raise LoadError("M603", message, help=f"write `{path}`")
        return Source(text, path)
    config = _parse(Source(text, path), suffix)
    return Source(_program(config, key or "", path), f"{path}:{key}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = {other.stem: other for other in path.parent.glob(f"*{path.suffix}")}
        close = get_close_matches(path.stem, near, n=1)
        help = f"did you mean `{near[close[0]]}`?" if close else None
        raise LoadError("M601", f"there is no file `{path}`", help=help) from None
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise LoadError("M601", message, help="save the file as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LoadError("M601", f"cannot read `{path}`: {reason.lower()}") from None


def _parse(source: Source, suffix: str) -> Any:
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
    except RecursionError:
        raise _malformed("JSON", "nested too deeply", None) from None


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


def _program(config: Any, key: str, path: str) -> str:
    """Return the text at a dotted key."""
    if not key:
        raise LoadError("M603", f"`{path}` needs a key", help=_offer(config, f"{path}:"))
    value, walked = config, ""
    for step in key.split("."):
        inner = _step(value, step)
        if inner is None:
            where = f"`{walked}` of `{path}`" if walked else f"`{path}`"
            help = did_you_mean(key, _text_keys(config)) or _offer(config, f"{path}:")
            raise LoadError("M603", f"{where} has no key `{step}`", help=help)
        value, walked = inner[0], f"{walked}.{step}" if walked else step
    if isinstance(value, str):
        return value
    message = f"`{key}` of `{path}` is {_described(value)}, expected the text of a program"
    raise LoadError("M604", message, help=_offer(value, f"{path}:{key}."))


def _step(value: Any, step: str) -> tuple[Any] | None:
    """Return what ``step`` leads to, in a tuple, or None."""
    if isinstance(value, dict) and step in value:
        return (value[step],)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return (value[int(step)],)
    return None


def _described(value: Any) -> str:
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return f"`{value!r}`"


def _offer(config: Any, prefix: str) -> str | None:
    """Name the first few keys that hold a text."""
    keys = [f"`{prefix}{key}`" for key in _text_keys(config)]
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return f"keys with a text: {', '.join(keys[:SHOWN_KEYS])}{more}" if keys else None


def _text_keys(config: Any) -> list[str]:
    """Return the dotted keys that hold a text; what a YAML alias repeats is listed once."""
    keys: list[str] = []
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, str):
            keys.append(key)
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            steps = value.items() if isinstance(value, dict) else enumerate(value)
            inner = [(f"{key}.{step}" if key else str(step), part) for step, part in steps]
            stack += reversed(inner)
    return keys
