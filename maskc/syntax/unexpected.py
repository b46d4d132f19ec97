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
}
"""How a terminal is called in a message, in the order of the message."""

OPERATORS = frozenset(
    {"_AND", "_OR", "COMPARE", "PLUS", "STAR", "SLASH", "FLOOR", "PERCENT", "XOR", "POWER"}
)
OPERANDS = frozenset({"NAME", "INT", "FLOAT", "TRUE", "FALSE", "INF", "LPAR"})
ENDS = frozenset({"NAME", "INT", "FLOAT", "TRUE", "FALSE", "INF", "RPAR", "RSQB"})


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
        span, found = span_of(source, token), f"`{token}`"
    else:
        assert previous is not None, "a statement has a token"
        end = span_of(source, previous).end
        span, found = Span(source, end, end), "the end of the statement"
    message = f"expected {_expected(accepts)}, found {found}"
    return MaskSyntaxError("M103", message, span, _remedy(token, previous, accepts))


def _expected(accepts: set[str]) -> str:
    if "FLOAT" in accepts:
        return "an expression"
    words = [word for terminal, word in WORDS.items() if terminal in accepts]
    if "PLUS" in accepts:
        words = [word for word in words if word not in ("`(`", "`else`")]
        words.append("an operator")
    if "$END" in accepts:
        words.append("the end of the statement")
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _remedy(token: Token | None, previous: Token | None, accepts: set[str]) -> str | None:
    found, before = token and token.type, previous and previous.type
    match found, before:
        case ("_AND", "_AND") | ("_OR", "_OR"):
            return f"write one `{token}`"
        case (None, "LET" | "DEF" | "PARAM" | "INPUT" | "AXIS"):
            return _declaration(str(previous))
        case (_, "LET" | "DEF" | "PARAM" | "INPUT" | "AXIS") if "NAME" in accepts:
            return f"`{token}` is a word of the language; choose another name"
        case ("COMPARE", _) if token == "==" and "EQUAL" in accepts and "PLUS" not in accepts:
            return "a declaration takes one `=`"
        case ("EQUAL", "COMPARE" | "EQUAL" | "_AND" | "_OR" | "NOT"):
            return "the comparisons are `<`, `<=`, `>`, `>=`, `==` and `!=`"
        case ("EQUAL", "PLUS" | "MINUS" | "STAR" | "SLASH"):
            return f"write the operation out, as in `score = score {previous} 1`"
        case ("EQUAL", _) if "PLUS" in accepts:
            return "compare with `==`; a name is given by `let NAME = ...`"
        case ("DOT", "INT" | "FLOAT" | "NAME"):
            return "a coordinate is one axis of a position, as in `q.h`"
        case ("LSQB", _) if "PLUS" in accepts or "LPAR" not in accepts:
            return "only an input is subscripted, as in `doc[q]`"
        case ("LPAR", _) if "PLUS" in accepts:
            return "a function is a name, as in `abs(q - k)`"
        case ("RPAR" | "RSQB", _) if "PLUS" in accepts and "$END" in accepts:
            return f"no bracket is open here: drop the `{token}`"
        case (operand, end) if operand in OPERANDS and end in ENDS and "PLUS" in accepts:
            return "join masks with `&` or `|`, terms with `+` or `*`, statements with `;`"
        case (operator, None) if operator in OPERATORS:
            return f"a line cannot start with `{token}`; end the line before with it"
        case (declaration, _) if declaration in DECLARATIONS:
            return f"`{token}` starts a statement: put it on its own line, or after `;`"
        case (None, _) if "ELSE" in accepts:
            return "a conditional is `a if test else b`"
        case (None, _) if "COLON" in accepts and "PLUS" not in accepts:
            return "declare its type: `int`, `float` or `bool`"
        case _:
            return None


def _declaration(keyword: str) -> str:
    forms = {
        "let": "let near = abs(q - k) < 8",
        "def": "def near(n) = abs(q - k) < n",
        "param": "param n: int = 8",
        "input": "input doc: int",
        "axis": "axis h = 16, w = 32",
    }
    return f"write `{forms[keyword]}`"
