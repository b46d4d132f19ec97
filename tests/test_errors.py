"""What a user sees for a bad program: the whole text of every error, carets included.

A fixture file holds cases: a title after ``=== ``, the program (``\\u{0}`` stands for a character
by its code, a first line ``with n = 4`` gives constants), then after ``---`` all its errors.
"""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from maskc import compile_mask
from maskc.elaborate.module import elaborate
from maskc.errors import MaskcError, MaskcWarning
from maskc.source import Source, Span
from maskc.syntax.parse import parse

FOLDER = Path(__file__).parent / "fixtures" / "errors"
FILES = sorted(FOLDER.glob("*.txt"))


@dataclass(frozen=True)
class Case:
    title: str
    program: str
    expected: str

    def __str__(self) -> str:
        return f"=== {self.title}\n{self.program}\n---\n{self.expected}\n"


def read(path: Path) -> Iterator[Case]:
    for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, rest = block.split("\n", 1)
        program, expected = rest.split("\n---\n", 1) if "\n---\n" in rest else (rest, "")
        yield Case(title, program.strip("\n"), expected.strip("\n"))


def errors_of(program: str) -> list[MaskcError]:
    text = re.sub(r"\\u\{(\w+)\}", lambda match: chr(int(match[1], 16)), program)
    constants = {}
    if text.startswith("with "):
        given, text = text.split("\n", 1)
        pairs = (pair.split(" = ") for pair in given.removeprefix("with ").split(", "))
        constants = {name: ast.literal_eval(value) for name, value in pairs}
    tree, errors = parse(Source(text))
    _, more = elaborate(tree, constants)
    return sorted([*errors, *more], key=lambda error: error.span.start if error.span else 0)


def rendered(program: str) -> str:
    text = "\n\n".join(str(error) for error in errors_of(program))
    return re.sub(r"(prelude\.mask):\d+", r"\1:LINE", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_errors_read_as_expected(path: Path, golden: Callable[[Path, str], None]) -> None:
    cases = [replace(case, expected=rendered(case.program)) for case in read(path)]
    golden(path, "\n".join(map(str, cases)))


def test_there_are_many_bad_programs() -> None:
    cases = [case for path in FILES for case in read(path)]
    assert len(cases) >= 90
    assert len({case.title for case in cases}) == len(cases)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_error_has_code_sentence_and_help(path: Path) -> None:
    for case in read(path):
        found = errors_of(case.program)
        assert found, case.title
        for error in found:
            assert re.fullmatch(r"M[123]\d\d", error.code), case.title
            assert not error.message.endswith("."), error.message
            assert error.help, f"{case.title}: {error.message}"


def test_a_long_sentence_is_cut() -> None:
    shown = str(MaskcError("M403", f"`device` is no device, found {'x' * 5000}"))
    assert shown.endswith("xxx...")
    assert len(shown) < 900


def test_a_long_quote_is_cut() -> None:
    with pytest.raises(MaskcError) as caught:
        compile_mask(f"causal {'9' * 5000}")
    assert max(map(len, str(caught.value).splitlines())) < 200
    assert f"found `{'9' * 80}...`" in str(caught.value)


def test_errors_and_warnings_are_told_alike() -> None:
    source = Source("causal & k")
    parts = ("M999", "a sentence", Span(source, 9, 10), "a fix", ("a note",))
    error, warning = MaskcError(*parts), MaskcWarning(*parts)
    told = (
        "[M999]: a sentence\n"
        " --> <mask>:1:10\n"
        "  1 | causal & k\n"
        "    |          ^\n"
        "    = note: a note\n"
        "    = help: a fix"
    )
    assert (str(error), str(warning)) == (f"error{told}", f"warning{told}")
    for one in (error, warning):
        again = pickle.loads(pickle.dumps(one))
        assert (type(again), str(again)) == (type(one), str(one))
