"""Cut a program into statements, so that an error in one does not hide the errors of the next.

A statement ends at ``;`` or at a newline, except inside brackets and after an operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from lark import Token

from maskc.errors import MaskcError, MaskSyntaxError
from maskc.source import Source, Span
from maskc.syntax.parser import parser
from maskc.syntax.unreadable import unreadable

MAX_CHARACTERS = 100_000
MAX_TOKENS = 6_000
MAX_NESTING = 80
MAX_NAME = 80
MAX_REPORTED = 20
"""Bounds on a program, so that reading it takes a known time and no more than Python's stack."""

CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB"}
CLOSING = {"(": ")", "[": "]"}
DECLARATIONS = frozenset({"LET", "DEF", "PARAM", "INPUT", "AXIS", "USE"})
CONTINUES_AFTER = frozenset(
    {"_OR", "_AND", "NOT", "XOR", "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "FLOOR", "PERCENT"}
    | {"POWER", "EQUAL", "COMMA", "COLON", "IF", "ELSE", "FROM"}
)
"""Terminals after which a newline does not end the statement."""


@dataclass(slots=True)
class Lexed:
    """The statements of a program as tokens, its comments, and what could not be read.

    ``broken`` are the tokens of statements with an error: what they declare is not unknown.
    """

    statements: list[list[Token]] = field(default_factory=list)
    broken: list[list[Token]] = field(default_factory=list)
    comments: list[Token] = field(default_factory=list)
    errors: list[MaskcError] = field(default_factory=list)


def lex(source: Source) -> Lexed:
    """Cut ``source`` into statements."""
    lexed = Lexed()
    length = len(source.text)
    if length > MAX_CHARACTERS:
        message = f"the program has {length} characters, at most {MAX_CHARACTERS} are read"
        lexed.errors.append(MaskSyntaxError("M104", message, help="put long tables in an `input`"))
        return lexed
    tokens = list(islice(parser().lex(source.text, dont_ignore=True), 2 * MAX_TOKENS))
    code = [token for token in tokens if token.type not in ("BLANK", "COMMENT")]
    lexed.comments = [token for token in tokens if token.type == "COMMENT"]
    if len(code) > MAX_TOKENS or len(tokens) == 2 * MAX_TOKENS:
        message = f"the program has more than {MAX_TOKENS} words and signs"
        lexed.errors.append(MaskSyntaxError("M104", message, help="put long tables in an `input`"))
        return lexed
    _Cutter(source, lexed).cut(code)
    return lexed


def span_of(source: Source, token: Token) -> Span:
    """Return the place of a token."""
    return Span(source, cast(int, token.start_pos), cast(int, token.end_pos))


class _Cutter:
    """Collects tokens until a statement ends; a statement with an error is set aside."""

    def __init__(self, source: Source, lexed: Lexed) -> None:
        self._source = source
        self._lexed = lexed
        self._statement: list[Token] = []
        self._brackets: list[Token] = []
        self._is_broken = False

    def cut(self, tokens: list[Token]) -> None:
        """Cut all tokens."""
        after_newline = False
        for token in tokens:
            if after_newline and token.type in DECLARATIONS:
                self._end()
            after_newline = token.type == "END" and token != ";"
            if token.type == "END":
                if token == ";" or not (self._brackets or self._continues()):
                    self._end()
            else:
                self._take(token)
        self._end()

    def _take(self, token: Token) -> None:
        self._statement.append(token)
        match token.type:
            case _ if self._is_broken:
                pass  # the first thing wrong with a statement explains the next ones
            case "UNREADABLE":
                self._report(unreadable(self._span(token)))
            case "STRING" if [one.type for one in self._statement[:-1]] != ["USE"]:
                start = cast(int, token.start_pos)
                self._report(unreadable(Span(self._source, start, start + 1)))
            case "NAME" if len(token) > MAX_NAME:
                message = f"the name has {len(token)} characters, at most {MAX_NAME} are read"
                self._report(MaskSyntaxError("M109", message, self._span(token), "shorten it"))
            case "LPAR" | "LSQB":
                self._brackets.append(token)
                if len(self._brackets) == MAX_NESTING:
                    self._report(too_deep(self._span(token)))
            case "RPAR" | "RSQB" if self._brackets:
                if CLOSERS[self._brackets[-1].type] == token.type:
                    self._brackets.pop()

    def _end(self) -> None:
        """Hand the statement over, unless something is wrong with it."""
        if self._brackets and not self._is_broken:
            bracket = self._brackets[0]
            message, help = f"`{bracket}` is never closed", f"add the `{CLOSING[bracket]}`"
            self._report(MaskSyntaxError("M102", message, self._span(bracket), help))
        if self._is_broken:
            self._lexed.broken.append(self._statement)
        elif self._statement:
            self._lexed.statements.append(self._statement)
        self._statement, self._brackets, self._is_broken = [], [], False

    def _continues(self) -> bool:
        return bool(self._statement) and self._statement[-1].type in CONTINUES_AFTER

    def _report(self, error: MaskcError) -> None:
        self._is_broken = True
        if len(self._lexed.errors) < MAX_REPORTED:
            self._lexed.errors.append(error)

    def _span(self, token: Token) -> Span:
        return span_of(self._source, token)


def too_deep(span: Span) -> MaskcError:
    """Return the error of an expression that is nested too deeply."""
    message = f"the expression is nested more than {MAX_NESTING} levels deep"
    help = "a sum of many terms nests as well; pass a table as an `input`"
    return MaskSyntaxError("M105", message, span, help)
