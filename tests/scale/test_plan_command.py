"""`maskc plan` prints what the plan is, and says what it cannot make up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskc import compile_mask
from maskc.cli import main
from maskc.commands.inputs import documents
from maskc.view.style import FULL, QUERY

SIZES = ("--tokens", "1024", "--ranks", "4", "--block", "32")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plan", *arguments], env={"COLUMNS": "100"})


def test_documents_repeat_until_the_sequence_is_full() -> None:
    assert documents((2, 3), 9).tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert documents((4,), 3).tolist() == [0, 0, 0]


def test_json_has_the_numbers_of_the_plan() -> None:
    result = run("causal & same_doc", *SIZES, "--lengths", "700,100,20", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    doc = documents((700, 100, 20), 1024)
    for name, numbers in found["orders"].items():
        plan = compile_mask("causal & same_doc").plan(1024, 4, block_size=32, balance=name, doc=doc)
        assert numbers["imbalance"] == plan.imbalance
        assert numbers["rank_cost"] == plan.rank_cost.tolist()
        assert numbers["kv_needed"] == list(plan.kv_needed)
        has_tables = name != "contiguous"  # of positions, beside those of blocks
        assert (numbers["table_bytes"] > 5 * 1024) == has_tables
    assert list(found["orders"]) == ["lpt", "contiguous", "headtail"]


def test_table_and_bars() -> None:
    result = run("causal", *SIZES)
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == "1024 tokens over 4 ranks"
    shown = {line.split()[0]: line.split()[1] for line in lines if line.split()[1:2]}
    assert (shown["lpt"], shown["contiguous"], shown["headtail"]) == ("1.000", "1.727", "1.000")
    assert lines[-1].startswith("  3 ████")
    assert lines[-1].endswith("132 tiles, 91% of the keys")


def test_a_picture_shows_the_busiest_ranks(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "plan.png"
    result = run("causal", *SIZES, "-o", str(path))
    assert result.stdout.endswith(f"wrote {path}\n")
    colours = image.open(path).convert("RGB").getcolors(2**24)
    shown = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in colours}
    assert {FULL, QUERY} <= shown, "of these orders `contiguous` alone is uneven"
    result = run("causal", *SIZES, "-o", str(tmp_path / "no" / "plan.png"))
    assert result.exit_code == 1
    assert "M605" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("causal & same_doc", *SIZES), "the mask reads `doc`: give --lengths of documents"),
        (
            ("causal", *SIZES, "--lengths", "3"),
            "the mask reads no ids of documents: leave --lengths out",
        ),
        (("causal", *SIZES, "--lengths", "3,x"), "expected lengths of at least 1"),
        (
            ("causal & valid_keys", *SIZES),
            "the mask reads `valid`, and --lengths makes one input",
        ),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], expected: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())


def test_a_sequence_that_does_not_divide_is_an_error_of_maskc() -> None:
    result = run("causal", "--tokens", "1000", "--ranks", "4")
    assert result.exit_code == 1
    assert "error[M441]: seq_len=1000 is no multiple of 4 ranks" in result.stderr


def test_documents_are_ids() -> None:
    assert documents((3,), 6).dtype == "int64"
