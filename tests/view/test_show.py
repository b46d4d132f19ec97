"""``maskc show`` as a user meets it: sizes, files, parts, pictures and pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

click_testing = pytest.importorskip("click.testing")

from maskc.cli import main  # noqa: E402


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("doc.npy", np.array([0, 0, 1, 1, 1]))
    Path("doc.json").write_text("[0, 0, 1, 1, 1]")


def show(*arguments: str) -> click_testing.Result:
    return click_testing.CliRunner().invoke(main, ["show", *arguments])


DOCUMENTS = """\
q \\ k 0
    0 ██········
      ████······
      ····██····
      ····████··
      ····██████
"""


@pytest.mark.parametrize(
    "given",
    [
        ("--input", "doc=doc.npy"),
        ("--input", "doc=doc.json"),
        ("--input", "doc=0,0,1,1,1"),
        ("--lengths", "2,3"),
    ],
)
def test_real_inputs_decide_the_length(given: tuple[str, str]) -> None:
    assert show("causal & same_doc", *given).stdout == DOCUMENTS


def test_a_part_is_shown_pair_by_pair() -> None:
    arguments = ("causal & window(3)", "--q", "100000", "--rows", "50000:50004")
    found = show(*arguments, "--columns", "49998:50003").stdout.splitlines()
    assert found == [
        "q \\ k 49998",
        "50000 ██████····",
        "      ··██████··",
        "      ····██████",
        "      ······████",
    ]


def test_a_large_mask_is_counted() -> None:
    found = show("causal & window(4096)", "--q", "100000").stdout.splitlines()
    assert found[1] == "    0 ▒▒················································"
    assert found[-1].startswith("a square is 4096 x 4096 pairs, counted: ")
    sampled = show("causal & (q - k) % 3 == 0", "--q", "100000").stdout.splitlines()
    assert sampled[-1].startswith("a square is 4096 x 4096 pairs, from 1024 pairs each: ")


def test_a_grid_is_shown_whole_and_as_a_query_sees_it() -> None:
    found = show("axis h = 4, w = 5; near(h, 1) & near(w, 1)").stdout.splitlines()
    assert found[-5:] == [
        "what query 12 (h 2, w 2) sees:",
        "··········",
        "··██████··",
        "··██◆◆██··",
        "··██████··",
    ]
    other = show("axis h = 4, w = 5; near(h, 1) & near(w, 1)", "--query", "0").stdout.splitlines()
    assert other[-5:] == [
        "what query 0 (h 0, w 0) sees:",
        "◆◆██······",
        "████······",
        "··········",
        "··········",
    ]


def test_an_offset_moves_the_queries() -> None:
    found = show("causal", "--q", "1", "--k", "6", "--q-offset", "3").stdout.splitlines()
    assert found[1] == "    0 ████████····"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("causal", "--rows", "5:3"), 2, "expected first:stop as in 100:200"),
        (("causal", "--rows", "40:"), 2, "--rows starts at 40, there are 32"),
        (("causal", "--query", "32"), 2, "--query is 32, there are 32"),
        (("causal", "--input", "doc=doc.npy"), 2, "no input 'doc'"),
        (("causal", "--lengths", "3"), 2, "the program has none: leave --lengths out"),
        (("same_doc", "--input", "doc=no.npy"), 1, "error[M601]"),
        (("same_doc", "--input", "doc=doc.npy", "--q", "9"), 1, "4 too few"),
        (("same_doc", "--input", "doc=0.5,1,2"), 1, "error[M4"),
        (("causal & q < 2 ** 60 * 0 + k", "-o", "x.html"), 1, "error["),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = show(*arguments)
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures(suffix: str) -> None:
    pytest.importorskip("matplotlib")
    program = "causal; score = score - 1.0"
    result = show(program, "-o", f"mask.{suffix}")
    assert (result.exit_code, result.stdout) == (0, f"wrote mask.{suffix}\n")
    assert Path(f"mask.{suffix}").stat().st_size > 1000


def test_a_page_holds_all_that_it_needs() -> None:
    result = show("causal & same_doc", "--lengths", "60,90,30,76", "-o", "mask.html")
    assert (result.exit_code, result.stdout) == (0, "wrote mask.html\n")
    text = Path("mask.html").read_text()
    assert "default-src 'none'" in text
    assert " src=" not in text
    assert "{{" not in text.partition("<script>")[0]
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["sizes"]["q_len"] == 256
    assert data["limits"]["q_len"] == [1, 256]
    assert sum(data["known"]["counts"]) == (256 // 32) ** 2


def test_a_page_of_every_layer() -> None:
    program = "param layer: int; causal & where(layer % 2 == 0, window(9), true)"
    assert show(program, "-o", "mask.html").exit_code == 0
    assert show(program).exit_code == 1
