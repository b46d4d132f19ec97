"""Cut a program into statements, so that an error in one does not hide the errors of the next.

A statement ends at ``;`` or at a newline, except inside brackets and after an operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from lark import Lark, Token, UnexpectedCharacters

from maskc.errors import MaskcError, MaskSyntaxError
from maskc.source import Source, Span
from maskc.syntax import resources

MAX_CHARACTERS = 100_000
MAX_REPORTED = 20
RUN = re.compile(r"\w+|.", re.DOTALL)

CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB"}
DECLARATIONS = frozenset({"LET", "DEF", "PARAM", "INPUT", "AXIS"})
CONTINUES_AFTER = frozenset(
    {"_OR", "_AND", "NOT", "XOR", "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "FLOOR", "PERCENT"}
    | {"POWER", "EQUAL", "COMMA", "COLON", "IF", "ELSE", "FROM"}
)
"""Terminals after which a newline does not end the statement."""


@dataclass(slots=True)
class Lexed:
    """The statements of a program as tokens, its comments, and what could not be read."""

    statements: list[list[Token]] = field(default_factory=list)
    comments: list[Token] = field(default_factory=list)
    errors: list[MaskcError] = field(default_factory=list)


def lex(source: Source) -> Lexed:
    """Cut ``source`` into statements."""
    lexed = Lexed()
    if len(source.text) > MAX_CHARACTERS:
        message = (
            f"the program has {len(source.text)} characters, at most {MAX_CHARACTERS} are read"
        )
        lexed.errors.append(MaskSyntaxError("M104", message, help="put long tables in an `input`"))
        return lexed
    tokens = _readable_tokens(source, lexed.errors)
    lexed.comments = [token for token in tokens if token.type == "COMMENT"]
    code = [token for token in tokens if token.type != "COMMENT"]
    lexed.statements = list(_statements(source, code, lexed.errors))
    return lexed


def span_of(source: Source, token: Token) -> Span:
    """Return the place of a token."""
    return Span(source, cast(int, token.start_pos), cast(int, token.end_pos))


@cache
def parser() -> Lark:
    """Return the LALR parser of one statement."""
    return Lark(
        resources.read("maskc.lark"),
        start=["statement", "separator"],
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def _readable_tokens(source: Source, errors: list[MaskcError]) -> list[Token]:
    """Lex the text; a character that belongs to nothing is reported and read as a blank."""
    comments: list[Token] = []
    text = source.text
    while True:
        comments.clear()
        try:
            tokens = list(_lex(text, comments))
            return sorted([*tokens, *comments], key=lambda token: token.start_pos or 0)
        except UnexpectedCharacters as error:
            at = cast(int, error.pos_in_stream)
        end = at + len(cast("re.Match[str]", RUN.match(text, at)).group())
        errors.append(_unreadable(Span(source, at, end)))
        if len(errors) >= MAX_REPORTED:
            return []
        text = text[:at] + " " * (end - at) + text[end:]


def _lex(text: str, comments: list[Token]) -> Iterator[Token]:
    for token in parser().lex(text, dont_ignore=True):
        match token.type:
            case "BLANK":
                continue
            case "COMMENT":
                comments.append(token)
            case _:
                yield token


def _unreadable(span: Span) -> MaskcError:
    text = span.text
    shown = f"`{text}`" if text.isascii() and text.isprintable() else f"U+{ord(text[0]):04X}"
    if text[0].isdigit():
        help = "a name starts with a letter, and a number ends before one"
    elif text in "'\"":
        help = "a program has no strings; names stand without quotes"
    else:
        help = "names are ASCII letters, digits and `_`; grammar/README.md lists the operators"
    return MaskSyntaxError("M101", f"{shown} is not part of the language", span, help)


def _statements(
    source: Source, tokens: Iterable[Token], errors: list[MaskcError]
) -> Iterator[list[Token]]:
    statement: list[Token] = []
    brackets: list[Token] = []
    after_newline = False
    for token in tokens:
        if brackets and after_newline and token.type in DECLARATIONS:
            errors.append(_never_closed(source, brackets[0]))
            statement, brackets = [], []
        after_newline = token.type == "END" and token != ";"
        match token.type:
            case "END" if token != ";" and (brackets or _continues(statement)):
                continue
            case "END":
                if brackets:
                    errors.append(_never_closed(source, brackets[0]))
                elif statement:
                    yield statement
                statement, brackets = [], []
                continue
            case "LPAR" | "LSQB":
                brackets.append(token)
            case "RPAR" | "RSQB" if brackets and CLOSERS[brackets[-1].type] == token.type:
                brackets.pop()
        statement.append(token)
    if brackets:
        errors.append(_never_closed(source, brackets[0]))
    elif statement:
        yield statement


def _continues(statement: list[Token]) -> bool:
    return bool(statement) and statement[-1].type in CONTINUES_AFTER


def _never_closed(source: Source, bracket: Token) -> MaskcError:
    closer = {"(": ")", "[": "]"}[str(bracket)]
    return MaskSyntaxError(
        "M102", f"`{bracket}` is never closed", span_of(source, bracket), f"add the `{closer}`"
    )
