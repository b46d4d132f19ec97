"""Text to syntax tree, statement by statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from lark import Token, Tree, UnexpectedToken

from maskc.errors import MaskcError
from maskc.source import Source, Span
from maskc.syntax import ast
from maskc.syntax.build import Builder
from maskc.syntax.parser import parser
from maskc.syntax.tokens import DECLARATIONS, MAX_NESTING, lex, too_deep
from maskc.syntax.unexpected import unexpected


def parse(source: Source) -> tuple[ast.Tree, list[MaskcError]]:
    """Return the statements that could be read, and an error for each that could not."""
    lexed = lex(source)
    builder = Builder(source, lexed.comments)
    statements: list[ast.Statement] = []
    errors, broken = lexed.errors, lexed.broken
    for tokens in lexed.statements:
        try:
            statements.append(builder.statement(_shallow(source, _parse_statement(source, tokens))))
        except MaskcError as error:
            errors.append(error)
            broken.append(tokens)
    errors.sort(key=lambda error: error.span.start if error.span else 0)
    lost = frozenset(name for tokens in broken for name in _declared(tokens))
    return ast.Tree(tuple(statements), lost), errors


def _parse_statement(source: Source, tokens: Sequence[Token]) -> Tree[Token]:
    interactive = parser().parse_interactive(start="statement")
    previous: Token | None = None
    for index, token in enumerate(tokens):
        try:
            interactive.feed_token(token)
        except UnexpectedToken:
            raise unexpected(source, token, previous, _accepts(tokens[:index])) from None
        previous = token
    try:
        return cast("Tree[Token]", interactive.feed_eof(previous))  # type: ignore[no-untyped-call]
    except UnexpectedToken:
        raise unexpected(source, None, previous, _accepts(tokens)) from None


def _accepts(tokens: Sequence[Token]) -> set[str]:
    """Return the terminals that may follow; a parser that has seen the wrong one forgets some."""
    interactive = parser().parse_interactive(start="statement")
    for token in tokens:
        interactive.feed_token(token)
    return cast("set[str]", interactive.accepts())  # type: ignore[no-untyped-call]


def _declared(tokens: Sequence[Token]) -> list[str]:
    """Return the names that a statement with an error was about to declare."""
    if len(tokens) < 2 or tokens[0].type not in DECLARATIONS - {"USE"}:
        return []
    if tokens[0].type == "AXIS":
        return [str(token) for token in tokens if token.type == "NAME"]
    return [str(tokens[1])]


def _shallow(source: Source, tree: Tree[Token] | Token) -> Tree[Token] | Token:
    """Return the tree, or refuse one nested so deeply that walking it would fail."""
    level: list[Tree[Token] | Token | None] = [tree]
    for _ in range(MAX_NESTING):
        level = [child for node in level if isinstance(node, Tree) for child in node.children]
        if not level:
            return tree
    deepest = next(node for node in level if node is not None)
    place = deepest.meta if isinstance(deepest, Tree) else deepest
    raise too_deep(Span(source, cast(int, place.start_pos), cast(int, place.end_pos)))
