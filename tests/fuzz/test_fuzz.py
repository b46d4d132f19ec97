"""A short run of the fuzzer, and what it checks; `make fuzz` is the long one."""

import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import run as fuzz

import maskc


def test_every_input_ends_in_a_program_or_an_error() -> None:
    with warnings.catch_warnings():
        tally = fuzz.run(1_000_000, 600)
    assert tally.failures == []
    assert sum(tally.outcomes.values()) == 600
    assert tally.outcomes["file: loaded"] > 5
    expected = {"call: refused M4", "file: refused M6", "program: bound", "program: not bound M4"}
    assert expected | {f"program: refused M{kind}" for kind in (1, 2, 3)} <= set(tally.outcomes)
    assert sum(": done" in outcome for outcome in tally.outcomes) > 5
    assert "0 failures" in str(tally)


@pytest.mark.planted
@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: bytearray(300_000_000), " MB: "),
        (lambda: sum(range(100_000_000)), " s, "),
    ],
)
def test_a_fault_is_seen(fault: object, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_mask = maskc.compile_mask

    def faulty(text: str) -> maskc.Program:
        fault()  # type: ignore[operator]
        return compile_mask("full")

    tally = fuzz.Tally()
    fuzz.warm_up()
    monkeypatch.setattr(maskc, "compile_mask", faulty)
    fuzz.examine(3, ["causal"], tally)
    assert shown in tally.failures[0]


FOUND = [
    "score = where(topk(1.5, 3), score, 2.0)",
    "window(64); score = where(topk(float(k), 3), score, score * 2)",
    "topk(inf, 7); score = score + slopes[q - k]",
    "where(head % 3 < doc[q - k], !topk(-0.0, 7), doc[64] == k)",
]


@pytest.mark.parametrize("text", FOUND)
@pytest.mark.parametrize("size", [5, 2**31, 2**70])
def test_what_it_has_found(text: str, size: int) -> None:
    program = maskc.compile_mask(text)
    names = [declared.name for declared in program.inputs]
    sizes = {"q_len": size, "kv_len": 5, "num_heads": 4}
    given = dict.fromkeys(names, [0] * 5)
    if size == 5 and not names:
        assert program.bind(**sizes).program is program
    else:
        with pytest.raises(maskc.MaskcError, match=r"error\[M4"):
            program.bind(**sizes, **given)
