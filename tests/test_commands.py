"""What all commands share: --json, --library, [tool.maskc], and what they load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

click_testing = pytest.importorskip("click.testing")

from maskc.cli import main  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("masks.mask").write_text("let local = causal & window(8)\n")
    Path("my_masks_for_json.py").write_text("def near(b, h, q, k):\n    return q - k < 3\n")
    Path("bad.mask").write_text("causal & q\n")
    Path("never.mask").write_text("causal & k > q\n")


def run(*arguments: str) -> "click_testing.Result":
    return click_testing.CliRunner().invoke(main, arguments)


def found(*arguments: str, code: int = 0) -> object:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_check_as_json() -> None:
    result = found("check", "causal", "bad.mask", "never.mask", "gone.mask", code=1)
    fine, bad, never, gone = result["programs"]
    assert fine == {"program": "causal", "errors": [], "warnings": []}
    assert bad["errors"][0] | {"message": ""} == {
        "code": "M201",
        "message": "",
        "help": "compare it: `q == ...`",
        "notes": [],
        "file": "bad.mask",
        "line": 1,
        "column": 10,
        "end_line": 1,
        "end_column": 11,
    } | {"help": bad["errors"][0]["help"]}
    assert [one["code"] for one in never["warnings"]] == ["M701"]
    assert gone["errors"][0]["code"] == "M601"


def test_explain_as_json() -> None:
    result = found("explain", "causal & window(8)")
    assert result["became"] == ["0 <= q - k < 8"]
    assert {"law": "unfold", "within": "window(8)"}.items() <= result["changes"][0].items()
    assert result["changes"][0]["before"] == "abs(q - k) < 8"


def test_the_others_as_json() -> None:
    equal = {"equal": True, "text": "equal: proved for every call"}
    assert found("equiv", "causal", "k <= q") == equal
    different = found("equiv", "causal", "k < q", code=1)
    assert (different["equal"], different["at"]["q"], different["first"]) == (False, 0, True)
    names = [entry["name"] for entry in found("list")]
    assert {"causal", "softcap", "doc", "tanh"} <= set(names)
    assert [entry["form"] for entry in found("list", "causal")] == ["causal"]
    traced = found("trace", "my_masks_for_json:near")
    assert traced["canonical"] == "q - k < 3"
    report = found("diff", "causal", "--q", "8", "--d", "8", "--backends", "sdpa")
    assert [one["backend"] for one in report["results"]] == ["plain sdpa", "sdpa"]
    assert report["misses"] == []


def test_why() -> None:
    torch.save(torch.tensor([0, 0, 0, 1, 1, 1]), "doc.pt")
    result = run("why", "causal & same_doc", "--q", "4", "--k", "1", "--input", "doc=doc.pt")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "query 4 does not see key 1",
        "  no  * causal & same_doc",
    ]
    assert "same_doc: doc[4] = 1, doc[1] = 0" in result.stdout
    assert result.stderr == ""
    row = found("why", "causal & same_doc", "--q", "4", "--lengths", "3,3")
    assert (row["count"], row["ranges"][0]["first"]) == (2, 3)
    drawn = run("why", "causal & same_doc", "--q", "4", "--batch", "1")
    assert "`doc` drawn at random" in drawn.stderr
    assert found("why", "axis h = 4, w = 4; same_line(h)", "--q", "5")["kv_len"] == 16


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--q", "4", "--input", "dok=doc.pt"), 2, "did you mean `doc`?"),
        (("--q", "4", "--input", "doc"), 2, "expected name=FILE"),
        (("--q", "4", "--input", "doc=gone.pt"), 1, "error[M601]"),
        (("--q", "4", "--input", "doc=masks.mask"), 1, "error[M602]"),
        (("--q", "4", "--input", "doc=0.5,1,1,1,1"), 1, "error[M412]"),
        (("--q", "9", "--input", "doc=0,0,1,1"), 1, "its positions are 0 to 3"),
        (("--q", "4", "--lengths", "0"), 2, "expected lengths of at least 1"),
        (("--q", "4", "--lengths", "3", "--input", "doc=0,0"), 2, "leave --lengths out"),
        ((), 2, "Missing option '--q'"),
    ],
)
def test_why_of_nonsense(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run("why", "causal & same_doc", *arguments)
    assert (result.exit_code, "Traceback" in result.output) == (code, False)
    assert message in result.output


COMMANDS = {
    "check": ("check", "local"),
    "explain": ("explain", "local"),
    "equiv": ("equiv", "local", "0 <= q - k < 8"),
    "emit": ("emit", "local"),
    "why": ("why", "local", "--q", "3"),
    "show": ("show", "local", "--q", "4"),
    "plan": ("plan", "local", "--tokens", "512", "--ranks", "2"),
    "diff": ("diff", "local", "--q", "4", "--backends", "sdpa"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_libraries(command: str) -> None:
    assert "error[M301]" in run(*COMMANDS[command]).stderr
    assert run(*COMMANDS[command], "--library", "masks.mask").exit_code == 0
    Path("pyproject.toml").write_text('[tool.maskc]\nlibrary = "masks.mask"\n')
    Path("sub").mkdir()
    assert run(*COMMANDS[command]).exit_code == 0


def test_a_project_is_found_from_within(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text(
        '[tool.maskc]\nlibrary = ["masks.mask"]\nfolders = ["programs"]\n'
    )
    Path("programs").mkdir()
    Path("programs/a.mask").write_text("local&causal\n")
    assert run("check").stdout.endswith("programs/a.mask: fine\n")
    monkeypatch.chdir("programs")
    assert run("check").exit_code == 0
    assert run("fmt").exit_code == 0
    assert Path("a.mask").read_text() == "local & causal\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('librray = "masks.mask"', "has no key `librray`"),
        ("library = 3", "`library` in `[tool.maskc]`"),
        ("folders = [1]", "`folders` in `[tool.maskc]`"),
        ("[[tool.maskc]]", "error["),
    ],
)
def test_a_project_of_nonsense(settings: str, message: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.maskc]\n{settings}\n")
    result = run("explain", "causal")
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_project_without_settings() -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'maskc-user'\n")
    assert run("check", "causal").exit_code == 0
    assert run("check").exit_code == 2
    assert "folders of [tool.maskc]" in run("fmt").output


LIGHT = {
    "check": ("torch", "sympy", "numpy", "rich"),
    "explain": ("torch", "sympy", "z3", "rich", "matplotlib"),
    "equiv": ("torch", "rich", "matplotlib"),
    "emit": ("sympy", "rich"),
    "why": ("torch._dynamo", "sympy", "rich", "matplotlib", "maskc.testing"),
    "plan": ("torch._dynamo", "matplotlib", "maskc.testing"),
}


@pytest.mark.processes
@pytest.mark.parametrize("command", LIGHT)
def test_a_command_loads_what_it_needs(command: str) -> None:
    arguments = [*COMMANDS[command], "--library", "masks.mask"]
    script = f"""
import json, sys
from maskc.cli import main
try:
    main({arguments!r})
finally:
    print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & set(LIGHT[command])


def test_a_shell_completes_commands_and_options() -> None:
    for words, place, expected in (
        ("maskc ex", "1", "plain,explain"),
        ("maskc why --le", "2", "plain,--lengths"),
        ("maskc shwo --le", "2", ""),
    ):
        environment = {"_MASKC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": place}
        result = click_testing.CliRunner().invoke(main, prog_name="maskc", env=environment)
        assert result.stdout.strip() == expected
