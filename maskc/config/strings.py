"""The strings of a config file as they are written: where each character of a value stands.

The parsers of these formats give values without places. Here a file is only cut into its strings;
what an escape stands for is asked of the format's own parser.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

TOML = re.compile(
    r'''
      \#[^\n]*
    | """\n?(?P<long>(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{0,2})"""(?!")
    | \'\'\'\n?(?P<long_raw>(?:[^']++|'{1,2}(?!'))*+'{0,2})\'\'\'(?!')
    | "(?P<short>(?:[^"\\\n]++|\\.)*+)"
    | '(?P<raw>[^'\n]*+)'
    ''',
    re.VERBOSE | re.DOTALL,
)
JSON = re.compile(r'"(?P<short>(?:[^"\\]++|\\.)*+)"', re.DOTALL)
"""The strings of a format, and in TOML its comments."""

_HEX = "[0-9A-Fa-f]"
_TOML_PIECE = re.compile(
    rf"\\(?:u{_HEX}{{4}}|U{_HEX}{{8}}|x{_HEX}{{2}}|[ \t]*\n\s*|.)|.", re.DOTALL
)
_JSON_PIECE = re.compile(
    rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\.|.", re.DOTALL
)
_YAML_PIECES = {
    '"': re.compile(rf"\\(?:x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|[ \t]*\n[ \t]*|.)|.", re.DOTALL),
    "'": re.compile(r"''|.", re.DOTALL),
}
_PLAIN_PIECE = re.compile(r".", re.DOTALL)
_BLOCK_HEADER = re.compile(r"[|>][^\n]*\n?")

Pieces = list[tuple[int, str]]
"""Where a part of a string begins, and the text that it stands for."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string as it is written.

    Attributes:
        start: where it begins, quotes and all.
        end: where it ends.
        value: what it stands for.
        offsets: where each character of the value stands, and where the last one ends; None if
            that cannot be told.
        is_block: whether it is a block of YAML, which takes its line break with it.

    """

    start: int
    end: int
    value: str
    offsets: tuple[int, ...] | None
    is_block: bool = False


def literals(text: str, suffix: str, value: str) -> Iterator[Literal]:
    """Yield the strings of a file that stand for ``value``.

    Args:
        text: of the file, which its format's parser has read.
        suffix: ``toml``, ``json``, ``yaml`` or ``yml``.
        value: what to look for.

    """
    match suffix:
        case "toml":
            yield from _matching(_toml(text), value)
        case "json":
            yield from _matching(_json(text), value)
        case _:
            yield from _yaml(text, value)


def _matching(found: Iterator[tuple[re.Match[str], str, Pieces]], value: str) -> Iterator[Literal]:
    """Yield the strings whose pieces make up ``value``."""
    for match, group, pieces in found:
        if "".join(text for _, text in pieces) == value:
            offsets = [offset for offset, text in pieces for _ in text]
            yield Literal(match.start(), match.end(), value, (*offsets, match.end(group)))


def _toml(text: str) -> Iterator[tuple[re.Match[str], str, Pieces]]:
    for match in TOML.finditer(text):
        group = match.lastgroup
        if group is not None:
            piece = _PLAIN_PIECE if group in ("raw", "long_raw") else _TOML_PIECE
            yield match, group, _pieces(piece, text, *match.span(group), _toml_escape)


def _json(text: str) -> Iterator[tuple[re.Match[str], str, Pieces]]:
    for match in JSON.finditer(text):
        yield match, "short", _pieces(_JSON_PIECE, text, *match.span("short"), _json_escape)


def _yaml(text: str, value: str) -> Iterator[Literal]:
    import yaml

    for token in yaml.scan(text):
        if not isinstance(token, yaml.ScalarToken) or token.value != value:
            continue
        start, end = token.start_mark.index, token.end_mark.index
        body = _yaml_body(text, start, end, token.style)
        piece = _YAML_PIECES.get(token.style, _PLAIN_PIECE)
        pieces = _pieces(piece, text, *body, _yaml_escape)
        is_block = token.style in ("|", ">")
        yield Literal(start, end, value, _unfolded(pieces, value, body[1]), is_block)


def _yaml_body(text: str, start: int, end: int, style: str | None) -> tuple[int, int]:
    """Return where a scalar's content lies: without its quotes, or the header of its block."""
    if style in ("'", '"'):
        return start + 1, end - 1
    if style in ("|", ">") and (header := _BLOCK_HEADER.match(text, start, end)):
        return header.end(), end
    return start, end


def _unfolded(pieces: Pieces, value: str, end: int) -> tuple[int, ...] | None:
    """Return where each character of a YAML scalar stands, None if that cannot be told.

    YAML drops indentation and folds line breaks into blanks; all else stays in its order.
    """
    offsets: list[int] = []
    place = 0
    for sign in value:
        while place < len(pieces) and not _stands_for(pieces[place][1], sign):
            if pieces[place][1].strip(" \t\n"):
                return None
            place += 1
        if place == len(pieces) and sign not in " \n":
            return None
        offsets.append(pieces[place][0] if place < len(pieces) else end)
        place += 1
    return (*offsets, pieces[place][0] if place < len(pieces) else end)


def _stands_for(written: str, sign: str) -> bool:
    return written == sign or (written == "\n" and sign == " ")


def _pieces(
    piece: re.Pattern[str], text: str, start: int, end: int, escape: Callable[[str], str]
) -> Pieces:
    """Cut the content of a string into characters and escapes."""
    result = piece.finditer(text, start, end)
    return [(m.start(), m[0] if len(m[0]) == 1 else escape(m[0])) for m in result]


@lru_cache(maxsize=256)
def _toml_escape(written: str) -> str:
    return str(tomllib.loads(f'x = """{written}"""')["x"])


@lru_cache(maxsize=256)
def _json_escape(written: str) -> str:
    return str(json.loads(f'"{written}"'))


@lru_cache(maxsize=256)
def _yaml_escape(written: str) -> str:
    import yaml

    return "'" if written == "''" else str(yaml.safe_load(f'"{written}"'))
