"""Text to syntax tree, statement by statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from lark import Token, Tree, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from maskc.errors import MaskcError, MaskSyntaxError
from maskc.source import Source, Span
from maskc.syntax import ast
from maskc.syntax.build import Builder
from maskc.syntax.tokens import lex, parser, span_of

MAX_DEPTH = 100

TERMINALS = {
    "RPAR": "`)`",
    "RSQB": "`]`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "ELSE": "`else`",
    "NAME": "a name",
}
STARTS_EXPRESSION = "LPAR"


def parse(source: Source) -> tuple[ast.Tree, list[MaskcError]]:
    """Return the statements that could be read, and an error for each that could not."""
    lexed = lex(source)
    builder = Builder(source, lexed.comments)
    statements: list[ast.Statement] = []
    errors = lexed.errors
    for tokens in lexed.statements:
        try:
            statements.append(builder.statement(_shallow(source, _parse_statement(source, tokens))))
        except MaskcError as error:
            errors.append(error)
    errors.sort(key=lambda error: error.span.start if error.span else 0)
    return ast.Tree(tuple(statements)), errors


def _parse_statement(source: Source, tokens: Sequence[Token]) -> Tree[Token]:
    interactive = parser().parse_interactive(start="statement")
    previous: Token | None = None
    for token in tokens:
        try:
            interactive.feed_token(token)
        except UnexpectedToken:
            raise _unexpected(source, token, previous, _accepts(interactive)) from None
        previous = token
    try:
        return cast("Tree[Token]", interactive.feed_eof(previous))  # type: ignore[no-untyped-call]
    except UnexpectedToken:
        raise _unexpected(source, None, previous, _accepts(interactive)) from None


def _accepts(interactive: InteractiveParser) -> set[str]:
    """Return the terminals that the parser would take next."""
    return cast("set[str]", interactive.accepts())  # type: ignore[no-untyped-call]


def _unexpected(
    source: Source, token: Token | None, previous: Token | None, accepts: set[str]
) -> MaskcError:
    """Say what was expected instead of ``token`` (None: the end of the statement)."""
    if token is not None:
        span, found = span_of(source, token), f"`{token}`"
    else:
        assert previous is not None, "a statement has a token"
        end = span_of(source, previous).end
        span, found = Span(source, end, end), "the end of the statement"
    message = f"expected {_expected(accepts)}, found {found}"
    return MaskSyntaxError("M103", message, span, _remedy(token, previous, accepts))


def _expected(accepts: set[str]) -> str:
    if STARTS_EXPRESSION in accepts and not accepts & {"PLUS", "EQUAL"}:
        return "an expression"
    words = [word for terminal, word in TERMINALS.items() if terminal in accepts]
    if "PLUS" in accepts:
        words.append("an operator")
    if "$END" in accepts:
        words.append("the end of the statement")
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _remedy(token: Token | None, previous: Token | None, accepts: set[str]) -> str | None:
    before = None if previous is None else previous.type
    match token and token.type, before:
        case ("_AND", "_AND") | ("_OR", "_OR"):
            return f"write one `{token}`"
        case ("COMPARE", _) if token == "==" and before == "NAME" and "EQUAL" in accepts:
            return "a declaration takes one `=`"
        case ("EQUAL", "COMPARE" | "EQUAL"):
            return "`<=`, `>=`, `==` and `!=` are the comparisons"
        case ("EQUAL", _) if "PLUS" in accepts:
            return "compare with `==`"
        case ("NAME", "NAME") | ("NAME", "RPAR") | ("INT" | "FLOAT", "NAME" | "RPAR"):
            return "join two masks with `&`, two terms with an operator, two statements with `;`"
        case ("_AND" | "_OR" | "COMPARE" | "STAR" | "SLASH" | "PERCENT" | "XOR", None):
            return f"a line cannot start with `{token}`; end the line before with it"
        case (None, _) if "ELSE" in accepts:
            return "a conditional is `a if test else b`"
        case _:
            return None


def _shallow(source: Source, tree: Tree[Token] | Token) -> Tree[Token] | Token:
    """Return the tree, or refuse one nested so deeply that walking it would fail."""
    level: list[Tree[Token] | Token | None] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level if isinstance(node, Tree) for child in node.children]
        if not level:
            return tree
    deepest = next(node for node in level if node is not None)
    place = deepest.meta if isinstance(deepest, Tree) else deepest
    start, end = cast(int, place.start_pos), cast(int, place.end_pos)
    raise MaskSyntaxError(
        "M105",
        f"the expression is nested more than {MAX_DEPTH} levels deep",
        Span(source, start, end),
        "name a part of it with `let`",
    )
