"""Hostile texts: each ends in a program or in errors, in bounded time and memory, on any stack."""

from __future__ import annotations

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work import SECOND, calls_of

from maskc.elaborate.module import Elaborated, elaborate
from maskc.errors import MaskcError
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import rewrite, walk
from maskc.ir.text import to_text
from maskc.ir.types import Given, Sz
from maskc.source import Source
from maskc.syntax.parse import parse

MEGABYTES = 200


def chain(op: str, part: str, count: int) -> str:
    return f" {op} ".join([part] * count)


def lets(first: str, step: str, count: int) -> str:
    lines = [f"let a0 = {first}", *(f"let a{i + 1} = {step.format(i)}" for i in range(count))]
    return "\n".join([*lines, f"a{count} < 3"])


def macros(first: str, step: str, count: int) -> str:
    lines = [f"def f0(x) = {first}", *(f"def f{i + 1}(x) = {step.format(i)}" for i in range(count))]
    return "\n".join(["def one(x) = 1", *lines, f"f{count}(q) < 3"])


TEXTS = {
    "parentheses": "(" * 10**5 + "q" + ")" * 10**5,
    "parentheses never closed": "(" * 90_000,
    "parentheses within the size": "(" * 2900 + "causal" + ")" * 2900,
    "brackets": "t[" * 2000 + "q" + "]" * 2000,
    "calls": "abs(" * 1400 + "q" + ")" * 1400 + " < 3",
    "calls within the depth": "abs(" * 75 + "q" + ")" * 75 + " < 3",
    "names": chain("&", "name", 10**6),
    "different names": " & ".join(f"n{i}" for i in range(2900)),
    "one long name": "a" * 90_000,
    "one long int": "q < " + "9" * 90_000,
    "one long float": "score = score * 1e" + "9" * 9000,
    "power tower": "q < 9**9**9",
    "power tower of floats": "q < 9.0**9**9",
    "NUL bytes": "\0" * 90_000,
    "some NUL bytes": "\0 " * 2900,
    "strange signs": "$ " * 2900,
    "quotes": '"' * 5900,
    "bidi": "causal & \u202ewindow(3)\u202c",
    "homoglyph": "c\u0430usal",
    "lone surrogate": "causal \ud800",
    "CRLF": "causal &\r\nwindow(5)\r\nscore = score\r\n",
    "newlines": "\n" * 99_000,
    "semicolons": ";" * 5900,
    "carriage returns": "\r" * 5900,
    "long and": chain("&", "k <= q", 1400),
    "long or of macros": chain("|", "window(3)", 1100),
    "long sum": "0 < " + chain("+", "q", 2900),
    "sum within the depth": "0 < " + chain("+", "q", 78),
    "long exclusive or": chain("^", "causal", 2900),
    "long comparison": chain("<", "q", 2900),
    "nots": "!" * 5900 + "causal",
    "minuses": "q < " + "-" * 5900 + "1",
    "conditionals": " if causal else ".join(["1"] * 1400) + " < q",
    "coordinates": "axis h = 2\nq" + ".h" * 2900 + " < 3",
    "statements": "score = score + 1\n" * 990,
    "many statements": "score=score\n" * 1450,
    "lets in a row": lets("q", "a{0}", 1100),
    "lets backwards": "\n".join(f"let a{i} = a{i + 1}" for i in range(1100)) + "\nlet a1100 = q",
    "lets of one name": "let a = q\n" * 1100,
    "deep lets": lets("q", "a{0} + 1", 900),
    "exponential lets": lets("q", "a{0} + a{0}", 400),
    "exponential float lets": lets("1.5", "a{0} + a{0}", 400),
    "lets that forget": "def one(x) = 1\n" + lets("q", "one(a{0} + a{0})", 300),
    "exponential macros": macros("x + x", "f{0}(f{0}(x))", 300),
    "exponential sums of macros": macros("x + x", "f{0}(x) + f{0}(x)", 300),
    "macros that forget": macros("one(x)", "one(f{0}(x) + f{0}(x))", 38),
    "macros of themselves": "def f(x) = f(f(x))\nf(q) < 3",
    "wide macros": "def f(x) = " + chain("+", "x", 70) + "\nf(f(f(f(q)))) < 1",
    "macros of unknown names": "\n".join(f"def a{i}(x) = zz{i}(x)" for i in range(700)),
    "macros of one name": "\n".join(f"def f(a{i}) = {i}" for i in range(800)),
    "arguments": "max(" + ", ".join(["q"] * 2900) + ") < 3",
    "subscripts": "input t: int\nt[" + ", ".join(["q"] * 2900) + "] < 3",
    "parameters": "def f(" + ", ".join(f"a{i}" for i in range(2900)) + ") = 1",
    "comments": "# x\n" * 2900 + "let a = q\n",
    "documented lets": "".join("# x\n" * 10 + f"let a{i} = q\n" for i in range(350)),
    "axes": "axis " + ", ".join(f"a{i} = 1" for i in range(1400)),
    "params": "\n".join(f"param a{i}" for i in range(1900)),
    "a line too long": "causal & " * 900 + "3",
    "nothing": "",
    "blanks": " " * 99_000,
}


def read(text: str) -> tuple[Elaborated, list[MaskcError]]:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    return elaborated, [*errors, *more]


def use(text: str) -> str:
    """Read a text, and do with it what later stages do."""
    elaborated, errors = read(text)
    if errors:
        return "\n".join(map(str, errors))
    module = elaborated.module
    for root in module.roots:
        assert rewrite(root, lambda term: None) == root
        assert len(list(walk(root))) >= 1
    if not elaborated.inputs:
        env = Env(dict.fromkeys(Sz, 1), given=dict.fromkeys(Given, 0.5))
        for root in module.roots:
            evaluate(root, Point(), env)
    return to_text(module)


def stacked(frames: int, text: str) -> str:
    """Use a text from a place deep in the caller's own calls."""
    return use(text) if frames == 0 else stacked(frames - 1, text)


@pytest.fixture(scope="module", autouse=True)
def _prelude_is_read() -> None:
    read("causal")


@pytest.mark.parametrize("title", TEXTS)
def test_hostile_texts_end_soon_on_a_deep_stack(title: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown = []
    assert calls_of(lambda: shown.append(stacked(250, TEXTS[title]))) < SECOND
    assert len(shown[0]) < 200_000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 1024 < MEGABYTES


SIGNS = "& | ^ ! ~ + - * / // % ** ( ) [ ] , ; : . = == != < <= > >= # $ \0 é"
NAMES = "q k head score out lse causal window doc slopes where topk max a b f h w 0 1 2.5 1e9 inf"
KEYWORDS = "let def param input axis if else from and or not true false int float bool"
WORDS = [*f"{SIGNS} {NAMES} {KEYWORDS}".split(" "), "\n", "\r\n"]


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_words_end_in_a_program_or_in_errors(text: str) -> None:
    assert isinstance(use(text), str)


@given(st.text(max_size=60))
def test_any_text_ends_in_a_program_or_in_errors(text: str) -> None:
    assert isinstance(use(text), str)
