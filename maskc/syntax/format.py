"""The house form of a program: the same words, comments and lines, with one way of spacing.

A statement stays on its line and a line break inside it stays too; what goes on there is indented.
Comments at the ends of lines below each other stay aligned where they were.
"""

from __future__ import annotations

from itertools import groupby

from lark import Token

from maskc.source import Source
from maskc.syntax.parser import parser
from maskc.syntax.tokens import CONTINUES_AFTER

INDENT = "    "
OPENS, CLOSES = ("LPAR", "LSQB"), ("RPAR", "RSQB")
NO_SPACE_BEFORE = frozenset({*CLOSES, "COMMA", "COLON", "END"})
ENDS_OPERAND = frozenset({*CLOSES, "NAME", "INT", "FLOAT", "TRUE", "FALSE", "INF"})
"""After these a minus is a difference, after anything else a sign."""
STARTS_OPERAND = frozenset({"LPAR", "NAME", "INT", "FLOAT", "TRUE", "FALSE", "INF", "NOT", "MINUS"})
"""Before these a sign stands close."""


def formatted(source: Source) -> str:
    """Return a program without errors in the house form; that of the result is itself."""
    lines: list[str] = []
    ends: list[Token | None] = []
    depth, goes_on = 0, False
    for tokens in _lines(source.text):
        code = [token for token in tokens if token.type != "COMMENT"]
        indent = INDENT if depth or goes_on else ""
        ends.append(tokens[-1] if code and tokens[-1].type == "COMMENT" else None)
        lines.append((indent + _line(tokens if ends[-1] is None else code)).rstrip())
        depth += sum((t.type in OPENS) - (t.type in CLOSES) for t in code)
        goes_on = code[-1].type in CONTINUES_AFTER if code else goes_on
    return _without_gaps(_commented(lines, ends))


def _commented(lines: list[str], ends: list[Token | None]) -> list[str]:
    """Return the lines with their comments; those of one column are aligned again."""
    columns = [None if end is None else end.column for end in ends]
    result: list[str] = []
    for column, run in groupby(range(len(lines)), key=columns.__getitem__):
        places = list(run)
        width = max(len(lines[place]) for place in places) + 2
        for place in places:
            end = "" if column is None else str(ends[place]).rstrip()
            result.append(f"{lines[place]:<{width}}{end}".rstrip())
    return result


def _lines(text: str) -> list[list[Token]]:
    """Return the tokens of each line, without blanks; a backslash joins two lines."""
    lines: list[list[Token]] = [[]]
    for token in parser().lex(text, dont_ignore=True):
        if token.type == "END" and token != ";":
            lines.append([])
        elif token.type != "BLANK":
            lines[-1].append(token)
    return lines


def _line(tokens: list[Token]) -> str:
    text = ""
    before: Token | None = None
    sign = False
    for token in tokens:
        close = before is None or (sign and token.type in STARTS_OPERAND)
        gap = "" if before is None or close else _gap(before, token)
        text += gap + token.rstrip()
        sign = _is_sign(before, token)
        before = token
    return text


def _gap(before: Token, token: Token) -> str:
    """Return what stands between two tokens of a line."""
    if token.type in NO_SPACE_BEFORE or before.type in OPENS:
        return ""
    match before.type, token.type:
        case ("NAME", "LPAR" | "LSQB") | ("DOT", "NAME") | (("NAME" | "RPAR" | "RSQB"), "DOT"):
            return ""
        case _:
            return " "


def _is_sign(before: Token | None, token: Token) -> bool:
    """Tell whether a token stands right before its operand."""
    if token.type == "MINUS":
        return before is None or before.type not in ENDS_OPERAND
    return token.type == "NOT" and token != "not"


def _without_gaps(lines: list[str]) -> str:
    """Join lines; of several empty ones, one stays, and none at the beginning and the end."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    text = "\n".join(kept).rstrip("\n")
    return f"{text}\n" if text else ""
