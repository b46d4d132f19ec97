"""Names, scopes, macros, params and axes: what a program means."""

import pytest
from environments import Case

from maskc.elaborate.module import Elaborated, elaborate
from maskc.errors import MaskcError
from maskc.ir.nodes import Coord, Expr, Index, Module, children, walk
from maskc.ir.text import expr_text, to_text
from maskc.ir.types import Ix, Type
from maskc.source import Source
from maskc.syntax.parse import parse


def attempt(text: str, **constants: object) -> tuple[Elaborated, list[MaskcError]]:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, constants)
    return elaborated, [*errors, *more]


def read(text: str, **constants: object) -> Elaborated:
    elaborated, errors = attempt(text, **constants)
    assert errors == []
    return elaborated


def module(text: str, **constants: object) -> Module:
    return read(text, **constants).module


def mask(text: str, **constants: object) -> Expr:
    return module(text, **constants).mask


EQUAL = [
    ("full", "true"),
    ("", "full"),
    ("score = score", ""),
    ("kv < 3", "k < 3"),
    ("b < 1", "batch < 1"),
    ("q > k", "k < q"),
    ("q >= k", "k <= q"),
    ("0 <= q - k < 4", "0 <= q - k & q - k < 4"),
    ("causal ^ full", "causal != full"),
    ("let a = b2\nlet b2 = causal\na", "causal"),
    ("score = score * 2; score = score + 1", "score = score * 2 + 1"),
    ("out = out * 2; out = out + lse", "out = out * 2 + lse"),
    ("score = 1.0 if causal else 0.0", "score = where(causal, 1.0, 0.0)"),
    ("causal & window(4); score = score + 1", "score = score + 1\nmask = causal & window(4)"),
    # macros: by position, by name, with defaults, told apart by their number of arguments
    ("dilated(8, 2)", "dilated(step = 2, n = 8)"),
    ("dilated(8, 2)", "dilated(8, step = 2)"),
    ("def f(x, y = 2) = x * y\nf(q) < 3", "q * 2 < 3"),
    ("def f(x, y = 2) = x * y\nf(q, 5) < 3", "q * 5 < 3"),
    ("def f(x, y = 2) = x * y\nf(y = 5, x = q) < 3", "q * 5 < 3"),
    ("def f() = q\nf() < 3", "q < 3"),
    ("def f(x) = x\ndef f(x, y) = x + y\nf(q) < f(q, k)", "q < q + k"),
    ("window(3, 1)", "-1 <= q - k <= 3"),
    ("def near(x) = x < edge\nlet edge = 5\nnear(q)", "q < 5"),
    # hygiene: a body sees the names of its own place, arguments those of the call
    ("let n = 1\ndef f(x) = x + n\ndef g(n) = f(n)\ng(q) < 3", "q + 1 < 3"),
    ("def f(x) = x * 2\ndef g(x) = f(x + 1)\ng(q) < 3", "(q + 1) * 2 < 3"),
    ("def f(q1, k1) = q1 - k1\nf(k, q) < 3", "k - q < 3"),
    ("def pick(t) = t[q] == t[k]\npick(doc)", "same_doc"),
    ("axis h = 4\ndef near(a) = abs(q.a - k.a) < 2\nnear(h)", "axis h = 4\nabs(q.h - k.h) < 2"),
    # a program's own names hide the prelude's, which keep their meaning for the prelude
    ("let causal = k < q\ncausal", "k < q"),
    ("def window(n) = k < n\nwindow(4)", "k < 4"),
    ("let full = false\nfull", "false"),
    ("def t5_half(a, b2, c) = 0\nt5_bucket(k - q) < 3", "t5_bucket(k - q) < 3"),
    # constants
    ("param n = 4\nwindow(n)", "window(4)"),
    ("param n: float = 4\nscore = score * n", "score = score * 4.0"),
    ("param n = 4\nparam m = n * 2\nwindow(m)", "window(8)"),
    ("axis h = 2 + 2\nq.h < 1", "axis h = 4\nq.h < 1"),
]


@pytest.mark.parametrize(("text", "same"), EQUAL)
def test_two_ways_to_say_it(text: str, same: str) -> None:
    assert module(text) == module(same)


def test_the_order_of_declarations_does_not_matter() -> None:
    lines = ["let a = f(b2)", "let b2 = doc[q]", "def f(x) = x == c[k]", "input c: int", "a"]
    first = module("\n".join(lines))
    assert all(module("\n".join(lines[i:] + lines[:i])) == first for i in range(5))


def test_constants_take_the_place_of_defaults() -> None:
    assert mask("param n = 4\nwindow(n)", n=7) == mask("window(7)")
    assert mask("param n: int\nwindow(n)", n=7) == mask("window(7)")
    assert mask("param on: bool = false\ncausal | on", on=True) == mask("causal | true")
    elaborated = read("param cap: float\naxis h, w = 3\nscore = score * cap", cap=2, h=5)
    assert elaborated.params == {"cap": 2.0, "h": 5, "w": 3}
    assert isinstance(elaborated.params["cap"], float)


def test_numbers_of_other_libraries_are_constants() -> None:
    numpy = pytest.importorskip("numpy")
    assert mask("param n: int\nwindow(n)", n=numpy.int64(7)) == mask("window(7)")


def test_a_param_takes_the_type_of_its_default() -> None:
    assert attempt("param n = 4\nwindow(n)", n=2.5)[1][0].code == "M227"
    assert module("param n = 4.0\nscore = score * n", n=2) == module("score = score * 2.0")


def test_axes_are_row_major_and_start_where_they_say() -> None:
    expr = mask("axis h = 2, w = 3 from 1\nq.h + q.w + k.w < 9")
    axes = {term.axis for term in walk(expr) if isinstance(term, Coord)}
    assert {(a.name, a.size, a.stride, a.start, a.count) for a in axes} == {
        ("h", 2, 3, 1, 6),
        ("w", 3, 1, 1, 6),
    }
    case = Case(1, 1, 1, 9, 1)
    places = {
        term.axis.name: case.matrix(term).flatten().tolist()
        for term in walk(expr)
        if isinstance(term, Coord) and term.position == Index(Ix.Q)
    }
    assert places == {"h": [-1, 0, 0, 0, 1, 1, 1, -1, -1], "w": [-1, 0, 1, 2, 0, 1, 2, -1, -1]}


def test_hidden_names_are_told() -> None:
    assert read("let causal = k < q\ncausal").hidden == ("`causal` hides the prelude's",)
    assert read("input doc: int\ndoc[q] == doc[k]").hidden == ("`doc` hides the prelude's",)
    assert read("let mine = causal\nmine").hidden == ()


def test_inputs_are_listed_with_their_docs() -> None:
    text = "input mine: int  # my own\naxis h = 4\nsame_doc & mine[q] == 0\nscore = relpos(h)"
    found = {i.name: (i.type, i.rank, i.doc) for i in read(text).inputs}
    assert found["mine"] == ("int", 1, "my own")
    assert found["doc"] == ("int", 1, "the document id of each token, in any order")
    assert found["rel_h"][:2] == ("float", 4)
    assert "`h`" in found["rel_h"][2]


def test_an_input_that_nothing_reads_is_listed() -> None:
    (unread,) = read("# spare\ninput spare: bool\ncausal").inputs
    assert (unread.name, unread.type, unread.rank, unread.doc) == ("spare", "bool", None, "spare")


def test_int_widens_and_the_score_is_a_float() -> None:
    assert module("score = q").score.type is Type.FLOAT
    assert module("score = score + 1").score.type is Type.FLOAT
    assert mask("q / 2 < 1.5").type is Type.BOOL


def test_a_score_after_another_reads_it() -> None:
    text = to_text(module("score = score + 1; score = score * score"))
    assert text == "score = (score + 1) * (score + 1)"


def test_library_names_lie_between_program_and_prelude() -> None:
    library = Source("def near(n) = window(n) & causal\nlet causal = k < q", "mine.mask")
    tree, _ = parse(Source("near(4)"))
    elaborated, errors = elaborate(tree, {}, [library])
    assert errors == []
    assert elaborated.module.mask == mask("window(4) & k < q")


def test_a_library_uses_and_hides_the_names_of_those_before_it() -> None:
    first = Source("let near = window(4)\nlet far = !near", "first.mask")
    second = Source("let near = window(2)\nlet both = near | far", "second.mask")
    tree, _ = parse(Source("both"))
    elaborated, errors = elaborate(tree, {}, [first, second])
    assert errors == []
    assert elaborated.module.mask == mask("window(2) | !window(4)")


@pytest.mark.parametrize("text", ["let a = q + causal", "def f(x) = x[", "let a = q\ncausal"])
def test_a_library_with_an_error_is_refused(text: str) -> None:
    tree, _ = parse(Source("full"))
    with pytest.raises(MaskcError) as caught:
        elaborate(tree, {}, [Source(text, "mine.mask")])
    assert "mine.mask" in str(caught.value)


def test_placeholders_check_a_program_without_its_constants() -> None:
    tree, _ = parse(Source("param n: int\nparam x: float\nparam on: bool\nwindow(n) & on"))
    assert elaborate(tree, {}, placeholders=True)[1] == []
    assert [error.code for error in elaborate(tree, {})[1]] == ["M309"] * 3


def test_indices() -> None:
    for which in Ix:
        assert children(mask(f"{which.value} < 1"))[0] == Index(which)


def test_expr_text_is_minimal() -> None:
    for text in ["a - (b - c)", "a - b - c", "-a ** 2", "(-a) ** 2", "a // (b * c)", "!(a < b)"]:
        program = text.replace("a", "q").replace("b", "k").replace("c", "head")
        shown = program if "!" in program else f"{program} < 3"
        assert expr_text(mask(shown)) == shown
