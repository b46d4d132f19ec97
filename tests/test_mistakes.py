"""Warnings of programs: what they say, where, how often, and that nothing sensible has one."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskc.errors import MaskcWarning
from maskc.loading import read
from maskc.mistakes import mistakes_of
from maskc.program import compile_mask, from_recipe
from maskc.source import Source
from maskc.view.library import entries

click_testing = pytest.importorskip("click.testing")
main = pytest.importorskip("maskc.cli").main

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from pieces import SECTIONS  # noqa: E402

NO_KEYS = "warning[M701]: no query can have a key: the mask is false everywhere"

WRONG = {
    "causal & k > q": f"{NO_KEYS}\n"
    " --> <mask>:1:10\n"
    "  1 | causal & k > q\n"
    "    |          ^^^^^\n"
    "    = help: `causal` and `k > q` exclude each other: drop one, or write `|`",
    "causal & same_doc & q_idx < 0": f"{NO_KEYS}\n"
    " --> <mask>:1:21\n"
    "  1 | causal & same_doc & q_idx < 0\n"
    "    |                     ^^^^^^^^^\n"
    "    = help: `q_idx < 0` is never true",
    "causal; score = where(k > q, score, -inf)": f"{NO_KEYS}\n"
    " --> <mask>:1:1\n"
    "  1 | causal; score = where(k > q, score, -inf)\n"
    "    | ^^^^^^\n"
    "    = help: its parts exclude each other, or a choice of -inf in the score does: drop one",
}


def run(*arguments: str) -> click_testing.Result:
    return click_testing.CliRunner().invoke(main, arguments)


@pytest.fixture(autouse=True)
def _cold() -> None:
    from_recipe.cache_clear()


@pytest.mark.parametrize(("text", "rendered"), WRONG.items())
def test_what_is_said_where_no_query_can_have_a_key(text: str, rendered: str) -> None:
    with pytest.warns(MaskcWarning) as caught:
        compile_mask(text)
    assert [str(warning.message) for warning in caught] == [rendered]
    assert [str(warning) for warning in mistakes_of(Source(text))] == [rendered]


@pytest.mark.parametrize(
    "text",
    [
        "false",
        "param on = false; causal & on",
        "param n: int; 5 < q - k < n",
        "param layer: int; causal & q - k > layer & q - k < 1",
        "causal & q - k > 5",
        "causal & same_doc & doc[q] != doc[k] + 1",
    ],
)
def test_what_is_meant_or_not_known_has_no_warning(text: str) -> None:
    assert mistakes_of(Source(text)) == []


@given(st.integers(-4, 4), st.integers(-4, 4))
def test_a_warning_is_there_where_the_mask_is_false(low: int, high: int) -> None:
    found = mistakes_of(Source(f"{low} <= q - k & q - k <= {high}"))
    assert bool(found) == (low > high)


def test_python_shows_it_once_at_the_line_that_compiled() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            compile_mask("causal & k > q + 1")
    assert [Path(warning.filename).name for warning in caught] == ["test_mistakes.py"]


def test_it_survives_a_process() -> None:
    [warning] = mistakes_of(Source("causal & k > q"))
    again = pickle.loads(pickle.dumps(warning))
    assert (str(again), again.code, again.span) == (str(warning), "M701", warning.span)


def test_check_lists_warnings_and_fails_if_strict() -> None:
    lax, strict = run("check", "causal & k > q"), run("check", "--strict", "causal & k > q")
    assert (lax.exit_code, strict.exit_code) == (0, 1)
    assert lax.stderr == strict.stderr == f"{WRONG['causal & k > q']}\n\n"
    assert lax.stdout == strict.stdout == ""
    assert run("check", "--strict", "causal").stdout == "causal: fine\n"


@pytest.mark.filterwarnings("default")
def test_other_commands_print_it_as_they_print_errors() -> None:
    result = run("explain", "causal & k > q")
    assert result.exit_code == 0
    assert result.stderr.startswith(NO_KEYS)
    assert "MaskcWarning" not in result.stderr


def test_no_false_alarm_in_the_examples() -> None:
    result = run("check", "--strict", str(ROOT / "examples"))
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("section", SECTIONS)
def test_no_false_alarm_in_the_gallery(section: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskcWarning)
        for piece in SECTIONS[section]:
            compile_mask(piece.text, **piece.constants)
            located = read(piece.text)
            assert mistakes_of(located.source, located.libraries) == []


def test_no_false_alarm_in_the_standard_library() -> None:
    for entry in entries():
        if entry.meaning and "(" not in entry.form:
            for text in (entry.form, f"score = score + {entry.form}", f"causal & {entry.form}"):
                assert mistakes_of(Source(text)) == []
