# ruff: noqa: RUF001 - the signs that look like others are the subject of this file
"""What to say about characters and words that are no part of the language."""

from __future__ import annotations

import unicodedata

from maskc.errors import MaskSyntaxError
from maskc.source import Span

OPERATORS = {
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "∧": "&",
    "∨": "|",
    "¬": "!",
    "⊕": "^",
    "×": "*",
    "·": "*",
    "⋅": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "—": "-",
    "∞": "inf",
    "²": "** 2",
    "（": "(",
    "）": ")",
    "，": ",",
    "；": ";",
    "：": ":",
    "＝": "=",
}
"""Signs that people paste from papers and word processors, and what the language writes."""

QUOTES = "'\"`‘’“”«»"
NO_STRINGS = "a program has no strings; names stand without quotes"
RESOLVE = "resolve the config first: OmegaConf does with `to_container(config, resolve=True)`"
ASCII_NAMES = "names are ASCII letters, digits and `_`"


def unreadable(span: Span) -> MaskSyntaxError:
    """Return the error for the text of ``span``, which no token of the language is."""
    text = span.text
    match text:
        case _ if text[0] in OPERATORS and len(text) == 1:
            return _error(f"`{text}` is not part of the language", span, _write(text))
        case _ if text in QUOTES:
            return _error(f"{_shown(text)} is not part of the language", span, NO_STRINGS)
        case "$" if _is_interpolation(span):
            written = span.source.text[span.start :].partition("}")[0] + "}"
            message = f"`{_cut(written)}` is a reference of a config that was not resolved"
            return _error(message, span, RESOLVE)
        case "{" | "}":
            return _error(f"`{text}` is not part of the language", span, "group with `(` and `)`")
        case "@":
            return _error("`@` is not part of the language", span, "a program has no matrices")
        case _ if text[0].isascii() and text[0].isdigit():
            help = "a name starts with a letter, and a product is written `2 * k`"
            return _error(f"`{_cut(text)}` is neither a number nor a name", span, help)
        case _ if text.isspace():
            return _error(f"{_shown(text)} is not a plain space", span, "type the space again")
        case _ if len(text) > 1 and (strange := [c for c in text if not c.isascii()]):
            message = f"{_shown(strange[0])} is not an ASCII letter"
            return _error(message, span, f"{ASCII_NAMES}; type the name again")
        case _ if text.isascii():
            help = "grammar/README.md lists the operators"
            return _error(f"{_shown(text)} is not part of the language", span, help)
        case _:
            return _error(f"{_shown(text)} is not part of the language", span, ASCII_NAMES)


def _is_interpolation(span: Span) -> bool:
    text = span.source.text
    return text.startswith("{", span.end) and "}" in text[span.end :].partition("\n")[0]


def _error(message: str, span: Span, help: str) -> MaskSyntaxError:
    return MaskSyntaxError("M101", message, span, help)


def _write(sign: str) -> str:
    return f"write `{OPERATORS[sign]}`"


def _shown(text: str) -> str:
    """Return the text in backticks, or by code point where it does not show or looks like more."""
    if text.isascii() and text.isprintable():
        return f"`{_cut(text)}`"
    code = f"U+{ord(text[0]):04X}"
    name = unicodedata.name(text[0], "")
    return f"{code} ({name.lower()})" if name else code


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
