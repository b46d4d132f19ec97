"""The command: what it prints, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

click_testing = pytest.importorskip("click.testing")

from maskc.cli import main  # noqa: E402


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("good.mask").write_text("param n = 4\ncausal & window(n)\n", encoding="utf-8")
    Path("bad.mask").write_text("causal & q\nmask = windwo(3)\nlet = 3\n", encoding="utf-8")
    Path("c.toml").write_text('[model]\nmask = "causal & same_doc"\n', encoding="utf-8")


def run(*arguments: str) -> "click_testing.Result":
    return click_testing.CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("program", ["causal & window(3)", "good.mask", "c.toml:model.mask"])
def test_check_takes_an_expression_a_file_and_a_key(program: str) -> None:
    result = run("check", program)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{program}: fine\n", "")


def test_check_prints_every_error_of_a_file() -> None:
    result = run("check", "bad.mask")
    assert result.exit_code == 1
    codes = [line.split("]")[0] for line in result.stderr.splitlines() if line[:6] == "error["]
    assert codes == ["error[M201", "error[M303", "error[M103"]
    assert "did you mean `window`?" in result.stderr


def test_check_goes_on_after_a_wrong_program() -> None:
    result = run("check", "bad.mask", "no.mask", "good.mask")
    assert result.exit_code == 1
    assert "there is no file `no.mask`" in result.stderr
    assert "2 of 3 programs are wrong" in result.stderr
    assert result.stdout == "good.mask: fine\n"


def test_check_loads_neither_torch_nor_sympy() -> None:
    script = """
import json, sys
sys.argv = ["maskc", "check", "causal & same_doc & window(512); score = softcap(score, 30)"]
from maskc.cli import main
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    fine, modules = done.stdout.splitlines()
    assert fine.endswith("fine")
    assert not {"torch", "sympy", "numpy", "rich", "matplotlib"} & set(json.loads(modules))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage"),
        (("check",), "Missing argument"),
        (("explain", "causal", "-D", "n"), "expected name=value"),
        (("explain", "causal", "-D", "n=four"), "expected an int, a float, true or false"),
        (("show", "causal", "--q", "0"), "0 is not in the range"),
        (("show", "causal", "--head", "1"), "count from 0"),
        (("diff", "causal", "--dtype", "int8"), "int8"),
        (("diff", "causal", "--device", "toaster"), "no device 'toaster'"),
        (("equiv", "causal"), "Missing argument 'B'"),
        (("list", "windwo"), "did you mean `window`?"),
        (("shwo",), "No such command"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("command", ["explain", "show", "diff"])
def test_a_wrong_program(command: str) -> None:
    result = run(command, "causal & k")
    assert result.exit_code == 1
    assert result.stderr.startswith("error[M201]: `&` needs a boolean on its right, found an int")
    assert "Traceback" not in result.output


def test_constants_reach_the_program() -> None:
    assert "q - k < 7" in run("explain", "good.mask", "-D", "n=7").stdout
    result = run("explain", "good.mask", "-D", "m=7")
    assert result.exit_code == 1
    assert "error[M308]" in result.stderr


@pytest.mark.parametrize(
    ("second", "code", "told"),
    [
        ("0 <= q - k < 4", 0, "equal: proved for every call"),
        ("causal & window(5)", 1, "different: mask is false, then true\n  at     q = 4, k = 0"),
    ],
)
def test_equiv_exits_with_0_only_if_it_is_proved(second: str, code: int, told: str) -> None:
    result = run("equiv", "good.mask", second)
    assert (result.exit_code, result.stdout[: len(told)]) == (code, told)


def test_list_prints_the_standard_library() -> None:
    result = run("list")
    assert result.exit_code == 0
    for text in ("causal = k <= q", "window(n) = abs(q - k) < n", "doc: int", "relpos(h, w, ...)"):
        assert text in result.stdout
    some = run("list", "window").stdout
    assert some.count("window(") == 2
    assert "softcap" not in some


def test_show_prints_the_mask() -> None:
    result = run("show", "causal & window(2)", "--q", "4")
    assert result.stdout == "\n".join(
        ["q \\ k 0", "    0 ██······", "      ████····", "      ··████··", "      ····████", ""]
    )


def test_show_draws_inputs_and_picks_a_head() -> None:
    arguments = ("show", "c.toml:model.mask", "--q", "9", "--b", "2", "--batch", "1")
    assert run(*arguments).stdout == run(*arguments).stdout
    assert run(*arguments).stdout != run(*arguments, "--seed", "1").stdout
    masks = [run("show", "q + head == k", "--q", "2", "--h", "2", "--head", h) for h in "01"]
    assert [mask.stdout.splitlines()[1] for mask in masks] == ["    0 ██··", "    0 ··██"]


def test_show_writes_a_picture() -> None:
    pytest.importorskip("matplotlib")
    result = run("show", "good.mask", "--q", "64", "-o", "mask.png")
    assert (result.exit_code, result.stdout) == (0, "wrote mask.png\n")
    assert Path("mask.png").read_bytes().startswith(b"\x89PNG")


def test_diff_compares_backends() -> None:
    size = ("--q", "9", "--k", "13", "--h", "4", "--hkv", "2", "--d", "8")
    program = "causal & same_doc; score = softcap(score, 3) + alibi"
    result = run("diff", program, *size, "--backends", "sdpa,reference")
    assert result.exit_code == 0, result.output
    assert "q [2, 4, 9, 8], k [2, 2, 13, 8], v [2, 2, 13, 8], float32" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[-3:-1]] == ["sdpa", "reference"]


def test_diff_fails_over_the_tolerance() -> None:
    arguments = ("diff", "causal", "--q", "9", "--d", "8", "--backends", "sdpa")
    result = run(*arguments, "--tolerance", "0")
    assert result.exit_code == 1
    assert "sdpa is off by" in result.stderr


def test_diff_refuses_an_unknown_backend() -> None:
    result = run("diff", "causal", "--backends", "sdpa,flux")
    assert result.exit_code == 2
    assert "'flux'" in result.stderr
