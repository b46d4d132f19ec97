"""The grammar, rule by rule: how tightly operators bind, and where a statement ends."""

import pytest

from maskc.errors import MaskcError
from maskc.source import Source
from maskc.syntax import ast
from maskc.syntax.parse import parse


def read(text: str) -> ast.Tree:
    tree, errors = parse(Source(text))
    assert errors == []
    return tree


def value(text: str) -> ast.Expr:
    (statement,) = read(text).statements
    assert isinstance(statement, ast.Assignment)
    return statement.value


SAME = [
    # loosest first: conditional, |, ^, &, !, comparison, + -, * / // %, unary -, **, postfix
    ("a | b if c | d else e | f", "(a | b) if (c | d) else (e | f)"),
    ("a | b ^ c", "a | (b ^ c)"),
    ("a ^ b & c", "a ^ (b & c)"),
    ("a ^ b ^ c", "(a ^ b) ^ c"),
    ("a & b | c & d", "(a & b) | (c & d)"),
    ("!a & b", "(!a) & b"),
    ("!a < b", "!(a < b)"),
    ("!!a", "!(!a)"),
    ("not a & not b", "(!a) & (!b)"),
    ("causal & q - k < 512", "causal & ((q - k) < 512)"),
    ("a < b + c", "a < (b + c)"),
    ("a + b * c", "a + (b * c)"),
    ("a - b - c", "(a - b) - c"),
    ("a - b + c", "(a - b) + c"),
    ("a * b // c % d / e", "(((a * b) // c) % d) / e"),
    ("-a * b", "(-a) * b"),
    ("a * -b", "a * (-b)"),
    ("a - -b", "a - (-b)"),
    ("--a", "-(-a)"),
    ("-x ** 2", "-(x ** 2)"),
    ("2 ** -1", "2 ** (-1)"),
    ("a ** b ** c", "a ** (b ** c)"),
    ("2 * a ** 2", "2 * (a ** 2)"),
    ("q.h ** 2", "(q.h) ** 2"),
    ("-q.h", "-(q.h)"),
    ("doc[q] == doc[k]", "(doc[q]) == (doc[k])"),
    ("max(a | b, c)", "max((a | b), (c))"),
    # spellings
    ("a and b or not c", "a & b | !c"),
    ("~a", "!a"),
    ("~ a & b", "(!a) & b"),
    ("1_000", "1000"),
    ("1.", "1.0"),
    (".5", "0.5"),
    ("1e3", "1000.0"),
    ("2.5e-1", "0.25"),
    ("f(a, b,)", "f(a, b)"),
    ("t[a, b,]", "t[a, b]"),
    ("android", "(android)"),
    ("mask = a", "a"),
    ("a != b", "(a) != (b)"),
    ("!a != b", "!(a != b)"),
]


@pytest.mark.parametrize(("text", "grouped"), SAME)
def test_grouping(text: str, grouped: str) -> None:
    assert value(text) == value(grouped)


DIFFERENT = [
    ("a | b & c", "(a | b) & c"),
    ("-x ** 2", "(-x) ** 2"),
    ("a ** b ** c", "(a ** b) ** c"),
    ("a - b - c", "a - (b - c)"),
    ("!a < b", "(!a) < b"),
    ("a < b < c", "(a < b) < c"),
    ("a // b * c", "a // (b * c)"),
]


@pytest.mark.parametrize(("text", "other"), DIFFERENT)
def test_grouping_matters(text: str, other: str) -> None:
    assert value(text) != value(other)


def test_a_conditional_takes_one_in_brackets() -> None:
    assert value("a if b else (c if d else e)") != value("(a if b else c) if d else e")
    _, errors = parse(Source("a if b else c if d else e"))
    assert len(errors) <= 1


def test_comparisons_chain() -> None:
    chain = value("0 <= q - k < n")
    assert isinstance(chain, ast.Chain)
    assert chain.ops == ("<=", "<")
    assert len(chain.operands) == 3


STATEMENTS = [
    ("a; b = 1", None),
    ("let x = a; let y = b", 2),
    ("let x = a\nlet y = b", 2),
    ("let x = a\r\nlet y = b\r\n", 2),
    ("let x = a\rlet y = b", 2),
    ("\n\n;;let x = a;;\n\n", 1),
    ("let x = (\na\n&\nb\n)", 1),
    ("let x = a &\n b", 1),
    ("let x =\n a", 1),
    ("let x = max(a,\n\n   b)", 1),
    ("let x = t[a,\n b]", 1),
    ("let x = a if b else\n c", 1),
    ("let x = not\n a", 1),
    ("let x = a # & b\nlet y = b", 2),
    ("let x = a & # and\n b", 1),
    ("# only a comment", 0),
    ("", 0),
    ("   \t ", 0),
    ("\ufefflet x = a", 1),
    ("let x = a \\\n & b", 1),
]


@pytest.mark.parametrize(("text", "count"), STATEMENTS)
def test_where_statements_end(text: str, count: int | None) -> None:
    tree, errors = parse(Source(text))
    if count is None:
        assert len(errors) == 1
    else:
        assert errors == []
        assert len(tree.statements) == count


def test_a_semicolon_ends_a_statement_even_in_brackets() -> None:
    tree, errors = parse(Source("let x = max(1; let y = 2"))
    assert [error.code for error in errors] == ["M102"]
    assert len(tree.statements) == 1


def test_every_wrong_statement_is_reported_and_the_others_are_read() -> None:
    tree, errors = parse(Source("let x = \nlet y = 1\nlet z = )\nlet w = 2 $\ny < 2"))
    assert [error.code for error in errors] == ["M103", "M103", "M101"]
    assert len(tree.statements) == 2
    assert tree.lost == {"x", "z", "w"}


def test_a_comment_is_the_doc_of_its_declaration() -> None:
    tree = read(
        "# above,\n# in two lines\ninput doc: int\ninput n: int  # beside\n\n# alone\n\nparam m = 1"
    )
    docs = [statement.doc for statement in tree.statements if hasattr(statement, "doc")]
    assert docs == ["above, in two lines", "beside", ""]


def test_spans_are_the_text() -> None:
    text = "causal & ( q - k ) < 512"
    conjunction = value(text)
    assert isinstance(conjunction, ast.Connective)
    assert [part.span.text for part in conjunction.operands] == ["causal", "( q - k ) < 512"]


@pytest.mark.parametrize("text", ["a b", "1 2", "a.", "a..h", "f(", "(a", "let", "def f", "a = b"])
def test_not_in_the_language(text: str) -> None:
    _, errors = parse(Source(text))
    assert len(errors) == 1
    assert all(isinstance(error, MaskcError) for error in errors)
