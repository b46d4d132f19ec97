"""Which string of a config file a key's value is: the place that errors in a program point at.

No second parser of keys, tables, anchors and merges: every string with the right value is replaced
by a mark of its own, and the format's parser tells which mark the key then holds.
"""

from __future__ import annotations

from maskc.config.formats import parse
from maskc.config.keys import value_at
from maskc.config.strings import Literal, literals
from maskc.errors import LoadError
from maskc.source import Origin, Source


def origin(file: Source, suffix: str, key: str, value: str) -> Origin | None:
    """Return where the text at a key stands in its file, None if no string of the file is it.

    Where the characters of a string cannot be told apart, all are at its beginning.

    Args:
        file: the text of the config file, under its path.
        suffix: its format.
        key: the dotted key.
        value: the text at the key.

    """
    result = list(literals(file.text, suffix, value))
    literal = result[0] if len(result) == 1 else _held(file, suffix, key, result)
    if literal is None:
        return None
    first = file.text.rfind("\n", 0, literal.start) + 1
    last = file.text.find("\n", max(literal.start, literal.end - literal.is_block))
    lines = file.text[first : last if last >= 0 else len(file.text)]
    offsets = literal.offsets or (literal.start,) * (len(value) + 1)
    number = file.text.count("\n", 0, first) + 1
    return Origin(file.name, lines, number, tuple(offset - first for offset in offsets))


def _held(file: Source, suffix: str, key: str, found: list[Literal]) -> Literal | None:
    """Return the one of several strings that the key holds."""
    mark = "maskc"
    while mark in file.text:
        mark += "_"
    text, copied = "", 0
    for number, literal in enumerate(found):
        line_break = "\n" if literal.is_block else ""
        text += f'{file.text[copied : literal.start]}"{mark}:{number}"{line_break}'
        copied = literal.end
    try:
        marked = value_at(parse(Source(text + file.text[copied:]), suffix), key)
    except LoadError:
        return None
    name, _, number_text = str(marked).partition(":")
    return found[int(number_text)] if name == mark else None
