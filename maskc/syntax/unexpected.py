"""What to say about a token that the grammar does not allow where it stands."""

from __future__ import annotations

from lark import Token

from maskc.errors import MaskSyntaxError
from maskc.source import Source, Span
from maskc.syntax.tokens import DECLARATIONS, span_of

WORDS = {
    "RPAR": "`)`",
    "RSQB": "`]`",
    "LPAR": "`(`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "ELSE": "`else`",
    "NAME": "a name",
    "STRING": "a path in quotes",
}
"""How a terminal is called in a message, in the order of the message."""

OPERATORS = frozenset(
    {"_AND", "_OR", "COMPARE", "PLUS", "STAR", "SLASH", "FLOOR", "PERCENT", "XOR", "POWER"}
)
FORMS = {
    "let": "write `let near = abs(q - k) < 8`",
    "def": "write `def near(n) = abs(q - k) < n`",
    "param": "write `param n: int = 8`",
    "input": "write `input doc: int`",
    "axis": "write `axis h = 16, w = 32`",
    "use": 'write `use "masks.mask"`',
}
PYTHON = frozenset({"lambda", "return", "for", "in", "is", "import", "class", "while", "def"})
WRITE_MASK = "a mask is an expression, as in `causal & window(512)`"


def unexpected(
    source: Source, token: Token | None, previous: Token | None, accepts: set[str]
) -> MaskSyntaxError:
    """Say what was expected instead of ``token``.

    Args:
        source: the program.
        token: the token that does not fit, None for the end of the statement.
        previous: the token before it, None at the start of the statement.
        accepts: the terminals that would fit.

    """
    if token is not None:
        span, result = span_of(source, token), f"`{token}`"
    else:
        assert previous is not None, "a statement has a token"
        end = span_of(source, previous).end
        span, result = Span(source, end, end), "the end of the statement"
    message = f"expected {_expected(accepts)}, found {result}"
    return MaskSyntaxError("M103", message, span, _remedy(token, previous, accepts))


def _expected(accepts: set[str]) -> str:
    if "FLOAT" in accepts:
        return "an expression"
    words = [word for terminal, word in WORDS.items() if terminal in accepts]
    if "PLUS" in accepts:
        words = [word for word in words if word != "`(`"]
        words.append("an operator")
    if "$END" in accepts:
        words.append("the end of the statement")
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _remedy(token: Token | None, previous: Token | None, accepts: set[str]) -> str | None:
    result = token and token.type
    if previous is not None and previous.type in DECLARATIONS:
        is_word = token is not None and token.isidentifier()
        return f"`{token}` is taken, choose another name" if is_word else FORMS[previous]
    if "FLOAT" in accepts:
        return _no_operand(token, previous)
    if "PLUS" in accepts:
        return _no_operator(token, previous, accepts)
    match result:
        case "COMPARE" | "COLON" | None if "EQUAL" in accepts and "LPAR" not in accepts:
            return "a declaration takes one `=`, as in `let n = 4`"
        case _ if "COLON" in accepts:
            return "declare its type, as in `input doc: int`"
        case _ if "LPAR" in accepts:
            return "a name without parameters is declared by `let`"
        case "EQUAL":
            return "an input is a tensor given at run time; a constant is a `param`"
        case _ if previous is not None and previous.type == "DOT":
            return "a coordinate is one axis of a position, as in `q.h`"
        case _:
            return "a type is `int`, `float` or `bool`, and a name is ASCII letters and digits"


def _no_operand(token: Token | None, previous: Token | None) -> str:
    """Return the remedy where an operand or an argument has to follow."""
    result, before = token and token.type, previous and previous.type
    match result, before:
        case ("_AND", "_AND") | ("_OR", "_OR"):
            return f"write one `{token}`"
        case ("EQUAL", "PLUS" | "MINUS" | "STAR" | "SLASH"):
            return f"write the operation out, as in `score = score {previous} 1`"
        case ("EQUAL", _) | ("COMPARE", "EQUAL" | "MINUS" | "COMPARE"):
            return "the comparisons are `<`, `<=`, `>`, `>=`, `==` and `!=`"
        case (operator, None) if operator in OPERATORS:
            return f"a line cannot start with `{token}`; end the line before with it"
        case (declaration, _) if declaration in DECLARATIONS:
            return f"`{token}` starts a statement: put it on its own line, or after `;`"
        case ("COMMA", "COMMA"):
            return "drop one `,`"
        case (("COMMA" | "RPAR" | "RSQB"), _):
            return f"`{previous}` needs something before the `{token}`"
        case (("COLON" | "DOT"), _):
            return "a subscript is one int for each dimension, as in `bias[head, q, k]`"
        case _:
            return f"`{previous}` needs something on its right" if previous else WRITE_MASK


def _no_operator(token: Token | None, previous: Token | None, accepts: set[str]) -> str:
    """Return the remedy where an operator has to follow, or the end."""
    result = token and token.type
    match result:
        case "EQUAL":
            return "compare with `==`; a name is given by `let NAME = ...`"
        case "LPAR":
            return "a function has a plain name, as in `exp(score)`, and no module"
        case "LSQB":
            return "only an input is subscripted, as in `doc[q]`"
        case "RPAR" | "RSQB":
            return f"no bracket is open here, drop the `{token}`"
        case None if "ELSE" in accepts:
            return "a conditional is `a if test else b`"
        case declaration if declaration in DECLARATIONS:
            return f"`{token}` starts a statement: put it on its own line, or after `;`"
        case _ if str(previous) in PYTHON or str(token) in PYTHON:
            return "a program is made of expressions, as in `causal & window(512)`"
        case _:
            return "join masks with `&` or `|`, terms with `+` or `*`, statements with `;`"
