"""A fixed set of programs, held against formulas of torch; `make explore` draws more.

The faults planted here show that each kind of comparison can fail.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from profiles import examples
from torch import Tensor

import maskc
from maskc.run.bound import Bound
from oracle import run as explorer
from oracle.call import draw_call
from oracle.programs import Program, draw_program
from oracle.terms import Term

HERE = Path(__file__).parent


@pytest.mark.parametrize("first", range(1, examples(200), 40))
def test_programs_mean_what_their_formulas_say(first: int) -> None:
    tally = explorer.run(0, range(first, first + 40))
    assert tally.failures == []
    assert tally.outcomes["programs"] >= 30
    for way in ("dense_mask", "block_mask", "reference", "sdpa", "emitted module"):
        assert tally.outcomes[f"{way}: agrees"] >= 5, way
    for trait in ("half tables", "negative positions", "an emitted file", "a row without a key"):
        assert tally.traits[trait] >= 2, trait
    assert f"{tally.traits['half tables']} half tables" in str(tally)


def test_the_formulas_use_nothing_of_maskc() -> None:
    ours = {"run.py", "case.py", "test_oracle.py"}
    for path in HERE.glob("*.py"):
        assert path.name in ours or "import maskc" not in path.read_text(encoding="utf-8")
        assert path.name in ours or "from maskc" not in path.read_text(encoding="utf-8")


def test_a_program_is_its_number() -> None:
    assert draw_program("3 5").text == draw_program("3 5").text
    assert len({draw_program(f"3 {number}").text for number in range(50)}) > 45


def _flipped(mask: Tensor) -> Tensor:
    """Return a mask with its last element turned."""
    found = mask.clone()
    found[..., -1, -1] ^= True
    return found


def _without_a_tile(found: Any) -> Any:
    if found is not None:
        found.kv_num_blocks.clamp_(max=0)
    return found


def causal() -> Program:
    """Return a plain call of a mask that every planted fault changes."""
    drawn = (draw_call(random.Random(number)) for number in range(100))
    call = next(call for call in drawn if call.is_plain and call.q_len > 2)
    call = replace(call, dtype=torch.float64, empty_rows="zero", poisoned="")
    mask = Term("causal", lambda world: world.k <= world.q)
    return Program(call, (mask,), (), None, {}, {}, {}, {})


FAULTS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("dense_mask", "dense_mask", _flipped),
    ("weights", "weights", lambda found: found.roll(1, -1)),
    ("__call__", "reference", lambda found: (found[0] + 0.01, found[1])),
    ("__call__", "sdpa", lambda found: (found[0], found[1] + 0.01)),
    ("block_mask", "block_mask", _without_a_tile),
]


@pytest.mark.parametrize(("name", "way", "fault"), FAULTS)
def test_a_planted_fault_is_found(
    name: str, way: str, fault: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(Bound, name)
    if isinstance(whole, property):
        planted: Any = property(lambda self: fault(whole.fget(self)))
    else:

        def planted(self: Bound, *args: Any, **keywords: Any) -> Any:
            found = whole(self, *args, **keywords)
            return (
                fault(found) if isinstance(found, Tensor) or keywords.get("return_lse") else found
            )

    monkeypatch.setattr(Bound, name, planted)
    program = causal()
    case = explorer.case_of(program, 0)
    assert case is not None
    assert explorer.hold(case, way)[1] == f"{way}: wrong"


@pytest.mark.planted
def test_a_wrong_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    emit = maskc.Program.emit
    monkeypatch.setattr(
        maskc.Program, "emit", lambda self, target: emit(self, target).replace("<=", "<")
    )
    tallies = (explorer.run(0, [number]) for number in range(60))
    assert any("emitted" in failure for tally in tallies for failure in tally.failures)
