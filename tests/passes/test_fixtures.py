"""Fixture pairs of the passes: what each law changes and what it leaves alone.

A block of ``tests/fixtures/passes/<pass>.txt`` is a title after ``#``, a program, ``=>`` and the
simplified program; a title with ``stays`` has a program that is in normal form. Programs are one
line each. Both sides are run at every point of a small case.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from environments import Case, environments
from hypothesis import HealthCheck, given, settings
from profiles import examples
from test_driver import disagreement, read

from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.passes.support.driver import PASSES, WHOLE, simplify

FIXTURES = Path(__file__).parents[1] / "fixtures" / "passes"
NOT_AT_A_TERM = {"pair_bounds", *(law.__name__ for law in WHOLE)}
"""Laws of whole programs, which the driver runs by themselves."""

Pair = tuple[str, str, str]


def pairs(path: Path) -> list[Pair]:
    """Return title, program and simplified program of every block."""
    found = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        title, before, after = block.split("\n")
        assert title.startswith("# ")
        assert after.startswith("=> ")
        found.append((title[2:], before, after[3:]))
    return found


CASES = [
    pytest.param(path.stem, *pair, id=f"{path.stem}: {pair[0]}")
    for path in sorted(FIXTURES.glob("*.txt"))
    for pair in pairs(path)
]


def test_every_pass_has_a_fixture() -> None:
    names = {rule.__name__ for rule in PASSES} | NOT_AT_A_TERM
    assert {path.stem for path in FIXTURES.glob("*.txt")} == names


def test_fixtures_are_what_the_driver_finds(golden: Callable[[Path, str], None]) -> None:
    """With ``--update-golden`` the simplified sides are written anew."""
    for path in sorted(FIXTURES.glob("*.txt")):
        blocks = [f"# {title}\n{before}\n=> {told(before)}" for title, before, _ in pairs(path)]
        golden(path, "\n\n".join(blocks) + "\n")


def told(text: str) -> str:
    return to_text(simplify(read(text)).module).replace("\n", "; ")


@pytest.mark.parametrize(("law", "title", "before", "after"), CASES)
def test_both_sides_mean_the_same(law: str, title: str, before: str, after: str) -> None:
    module, expected = read(before), read(after)
    fired = simplify(module).laws
    if "stays" in title:
        assert law not in fired
    elif law != "pair_bounds":
        assert law in fired
    agree(module, expected)


def agree(module: Module, expected: Module) -> None:
    @settings(max_examples=examples(8), database=None, suppress_health_check=list(HealthCheck))
    @given(environments(module, positions=True))
    def check(case: Case) -> None:
        assert disagreement(module, expected, case) is None

    check()
