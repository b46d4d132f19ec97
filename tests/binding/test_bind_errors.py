"""What a user sees for a bad binding or call: the whole text of the error, carets included.

A fixture file holds cases: a title after ``=== ``, the program, after ``>>>`` the call as Python
(``bind(...)`` or ``call(...)``, which draws q, k and v of ``SHAPES`` unless they are given), after
``---`` the error, or ``accepted``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from maskc import MaskcError, Program, compile_mask

FOLDER = Path(__file__).parents[1] / "fixtures" / "bindings"
FILES = sorted(FOLDER.glob("*.txt"))
SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 6, "kv_len": 8}
SHAPES = {"q": (2, 4, 6, 4), "k": (2, 2, 8, 4), "v": (2, 2, 8, 4)}


@dataclass(frozen=True)
class Case:
    title: str
    program: str
    call: str
    expected: str

    def __str__(self) -> str:
        return f"=== {self.title}\n{self.program}\n>>> {self.call}\n---\n{self.expected}\n"


def read(path: Path) -> Iterator[Case]:
    for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, rest = block.split("\n", 1)
        given, expected = rest.split("\n---\n", 1) if "\n---\n" in rest else (rest, "")
        program, call = given.split("\n>>> ", 1)
        yield Case(title, program, call.strip("\n"), expected.strip("\n"))


def rendered(case: Case) -> str:
    """Return the error of a case; what is written in a fixture of ours is run as it stands."""
    program: Program | None = None

    def compiled(**constants: Any) -> Program:
        return compile_mask(case.program, **constants)

    def bind(**given: Any) -> Any:
        return (program or compiled()).bind(**{**SIZES, **given})

    def call(**given: Any) -> Any:
        qkv = {name: torch.ones(shape) for name, shape in SHAPES.items()}
        return (program or compiled())(**{**qkv, **given})

    scope = {"torch": torch, "bind": bind, "call": call, "compiled": compiled, **SIZES}
    try:
        eval(case.call, scope)
    except MaskcError as error:
        return str(error)
    return "accepted"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_errors_read_as_expected(path: Path, golden: Callable[[Path, str], None]) -> None:
    cases = [replace(case, expected=rendered(case)) for case in read(path)]
    golden(path, "\n".join(map(str, cases)))


def test_there_are_many_bad_bindings() -> None:
    cases = [case for path in FILES for case in read(path)]
    refused = [case for case in cases if case.expected != "accepted"]
    assert len(refused) >= 40
    assert len({case.title for case in cases}) == len(cases)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_error_has_a_code_and_a_sentence(path: Path) -> None:
    for case in read(path):
        if case.expected != "accepted":
            first = case.expected.splitlines()[0]
            assert re.fullmatch(r"error\[M[345]\d\d\]: .*[^.]", first), case.title


T5 = "input table: float; score = score + table[head, t5_bucket(k - q, 32, 128, true)]"
WHERE = (
    " --> <mask>:1:37\n"
    f"  1 | {T5}\n"
    "    |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
)


@pytest.mark.parametrize(
    ("shape", "rendered"),
    [
        (
            None,
            "error[M402]: input `table` is missing, expected a tensor [heads = 4, at least 32] or "
            f"[batch, heads = 4, at least 32] of float\n{WHERE}"
            "    = help: bind it: `table=...`",
        ),
        (
            (32, 4),
            "error[M416]: input `table` has 32 entries along `head`, expected 4 (num_heads) or 1\n"
            f"{WHERE}"
            "    = help: its dimensions stand the other way around: pass `table.T`",
        ),
        (
            (32,),
            "error[M414]: input `table` has 1 dimensions [32], expected 2, or 3 with the batch in "
            f"front\n{WHERE}"
            "    = help: expected a tensor [heads = 4, at least 32] or "
            "[batch, heads = 4, at least 32]",
        ),
        (
            (4, 20),
            "error[M417]: input `table` has 20 entries where "
            "`table[head, t5_bucket(k - q, 32, 128, true)]` reads up to 31: 12 too few\n"
            f"{WHERE}"
            "    = help: give one entry for each value of the subscript, or guard it with `where`",
        ),
    ],
)
def test_what_a_table_lacks_is_said_without_what_its_subscript_became(
    shape: tuple[int, ...] | None, rendered: str
) -> None:
    program = compile_mask(T5)
    given = {} if shape is None else {"table": torch.rand(shape)}
    q = torch.randn(1, 4, 200, 8)
    with pytest.raises(MaskcError) as caught:
        program(q, q, q, **given)
    assert str(caught.value) == rendered
