"""Dotted keys of a config: ``model.attention.mask``, and ``layers.0.mask`` into a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maskc.errors import LoadError, did_you_mean

SHOWN = 5
"""Keys that the help of an error lists."""

MOST_BITS = 64
"""Of an int that a message shows; Python prints no int of thousands of digits."""

MOST_DIGITS = 9
"""Of a place in a list."""


def text_at(config: Any, key: str, path: str) -> str:
    """Return the text at a dotted key.

    Args:
        config: what the file holds.
        key: the dotted key.
        path: of the file, for messages.

    Raises:
        LoadError: the key is missing, or holds no text.

    """
    if not key:
        raise LoadError("M603", f"`{path}` needs a key", help=_offer(config, f"{path}:"))
    value, walked = config, ""
    for step in key.split("."):
        inner = _step(value, step)
        if inner is None:
            where = f"`{walked}` of `{path}`" if walked else f"`{path}`"
            keys = [known for known, _ in texts(config)]
            help = did_you_mean(key, keys) or _offer(config, f"{path}:")
            raise LoadError("M603", f"{where} has no key `{step}`", help=help)
        value, walked = inner[0], f"{walked}.{step}" if walked else step
    if isinstance(value, str):
        return value
    message = f"`{key}` of `{path}` is {described(value)}, expected the text of a program"
    raise LoadError("M604", message, help=_offer(value, f"{path}:{key}."))


def value_at(config: Any, key: str) -> Any:
    """Return what a dotted key holds, None if there is no such key."""
    value = config
    for step in key.split("."):
        inner = _step(value, step)
        if inner is None:
            return None
        value = inner[0]
    return value


def beside(config: Any, key: str, name: str) -> Any:
    """Return what the key ``name`` holds in the table around a dotted key, None without one."""
    table, result = config, None
    for step in key.split("."):
        if isinstance(table, dict):
            result = table.get(name)
        inner = _step(table, step)
        table = None if inner is None else inner[0]
    return result


def texts(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the dotted keys that hold a text, and the texts; an alias of YAML counts once."""
    seen: set[int] = set()
    stack: list[Iterator[tuple[str, Any]]] = [iter([("", config)])]
    while stack:
        for key, value in stack[-1]:
            if isinstance(value, str):
                yield key, value
            elif isinstance(value, dict | list) and id(value) not in seen:
                seen.add(id(value))
                stack.append(_parts(key, value))
                break
        else:
            stack.pop()


def _parts(key: str, value: dict[Any, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, part in steps:
        yield f"{key}.{step}" if key else str(step), part


def described(value: Any) -> str:
    """Return what kind of value it is, for a message."""
    match value:
        case dict():
            return "a table"
        case list():
            return "a list"
        case str() | bool() | float() | None:
            return f"`{value!r}`"
        case int():
            return f"`{value}`" if value.bit_length() <= MOST_BITS else "a huge int"
        case _:  # such as a set of YAML, whose parts may be many times one another
            return f"of type {type(value).__name__}"


def _step(value: Any, step: str) -> tuple[Any] | None:
    """Return what ``step`` leads to, in a tuple, or None."""
    if isinstance(value, dict) and step in value:
        return (value[step],)
    if isinstance(value, list) and step.isdecimal() and len(step) <= MOST_DIGITS:
        return (value[int(step)],) if int(step) < len(value) else None
    return None


def _offer(config: Any, prefix: str) -> str | None:
    """Name the first few keys that hold a text."""
    keys = [f"`{prefix}{key}`" for key, _ in texts(config)]
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"keys with a text: {', '.join(keys[:SHOWN])}{more}" if keys else None
