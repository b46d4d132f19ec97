"""The command: what it prints, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

click = pytest.importorskip("click")
click_testing = pytest.importorskip("click.testing")

from maskc.cli import COMMANDS, main  # noqa: E402


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


def test_trace_prints_the_program_of_a_function() -> None:
    lines = ["AHEAD = 3", "def near(b, h, q, k):", "    late = k - q <= AHEAD", "    return late"]
    lines += ["def half(score, b, h, q, k):", "    return score / 2"]
    lines += ["def bad(b, h, q, k):", "    return q > k and k > 0"]
    Path("my_masks_to_trace.py").write_text("\n".join(lines), encoding="utf-8")
    assert run("trace", "my_masks_to_trace:near").stdout == (
        "param AHEAD: int = 3\nk - q <= AHEAD\n"
    )
    assert run("trace", "my_masks_to_trace:near", "--plain").stdout == "-4 < q - k\n"
    assert run("trace", "my_masks_to_trace:half").stdout == "score = score / 2\n"
    refused = run("trace", "my_masks_to_trace:bad", "--q", "8")
    assert refused.exit_code == 1
    assert "error[M801]" in refused.stderr
    assert "my_masks_to_trace.py:8:12" in refused.stderr
    for ref in ("my_masks_to_trace:no", "no_such_module:f", "causal"):
        missing = run("trace", ref)
        assert missing.exit_code == 1
        assert "error[M812]" in missing.stderr


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


@pytest.mark.parametrize("command", ["explain", "show", "diff", "emit"])
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
    for text in (
        "causal = k <= q",
        "window(n: int >= 1) = abs(q - k) < n",
        "doc: int",
        "relpos(h, w, ...)",
    ):
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


def table(result: "click_testing.Result") -> list[list[str]]:
    """Return the words of each row of the table that `diff` prints."""
    lines = [line.split() for line in result.stdout.splitlines()]
    return [words for words in lines if words[:1] in (["error"], ["output,"], ["gradient"])]


def test_diff_compares_backends() -> None:
    size = ("--q", "9", "--k", "13", "--h", "4", "--hkv", "2", "--d", "8")
    program = "causal & same_doc; score = softcap(score, 3) + alibi"
    result = run("diff", program, *size, "--backends", "sdpa,reference")
    assert result.exit_code == 0, result.output
    assert "q [2, 4, 9, 8], k [2, 2, 13, 8], v [2, 2, 13, 8], float32" in result.stdout
    header, largest, mean, *slopes = table(result)
    assert header == ["error", "plain", "sdpa", "sdpa", "reference"]
    assert [len(largest), len(mean)] == [7, 7]
    assert [row[2] for row in slopes] == ["q", "k", "v", "slopes"]
    remarks = result.stdout.splitlines()[-3:]
    assert remarks[0] == "1.0x: the error of plain SDPA with the same mask, which is rounding alone"
    assert remarks[1].startswith("sdpa: worst at batch ")
    assert ", doc " in remarks[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("c.toml:model.mask",),
        ("c.yaml:layers.1.attention.mask", "-D", "layer=1", "--dtype", "bfloat16"),
        ("c.json:grid", "--dtype", "float16", "--hkv", "2"),
        ("causal & same_doc; score = score + alibi", "--q", "3", "--k", "9", "--q-offset", "6"),
        ("prefix & q < 20 & k >= 4", "--kv-offset", "4", "--dtype", "float64"),
        ("causal; input sink: float; out = out * sigmoid(lse - sink[head])",),
        ("input doc: int; doc[q] == doc[k]; score = score + doc[q]", "--dtype", "float64"),
    ],
)
def test_diff_of_programs_in_many_places(arguments: tuple[str, ...]) -> None:
    mask = "param layer: int; causal & where(layer % 2 == 0, window(4), true)"
    yaml = f"layers:\n  - 1\n  - attention:\n      mask: '{mask}'\n"
    Path("c.yaml").write_text(yaml, encoding="utf-8")
    grid = "axis h = 2, w = 4; abs(q.h - k.h) < 2; score = score + relpos(h, w)"
    Path("c.json").write_text(json.dumps({"grid": grid}), encoding="utf-8")
    sizes = ("--q", "8", "--d", "8", "--backends", "sdpa,reference")
    result = run("diff", *sizes, *arguments)
    assert result.exit_code == 0, result.output
    assert len(table(result)) >= 6


def test_diff_fails_over_the_tolerance() -> None:
    arguments = ("diff", "causal", "--q", "9", "--d", "8", "--backends", "sdpa")
    result = run(*arguments, "--tolerance", "0")
    assert result.exit_code == 1
    first, *others = result.stderr.splitlines()
    assert first.startswith("sdpa is off by ")
    assert ", more than 0.0e+00, at batch " in first
    assert [line.partition("in the ")[2][:13] for line in others] == [
        f"gradient of {name}" for name in "qkv"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--backends", "sdpa,flux"), 2, "no backend 'flux', did you mean `flex`?"),
        (
            ("--backends", ""),
            2,
            "no backend '', there are flex, sdpa, sdpa+columns, banded, reference",
        ),
        (("--q", "1000000"), 2, "8.0e+12 scores in float64, more than 2.7e+08: lower --b"),
        (("--hkv", "3"), 1, "num_heads=4 is no multiple of num_kv_heads=3"),
        (("--q-offset", "-1"), 2, "-1 is not in the range"),
    ],
)
def test_diff_of_nonsense(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run("diff", "causal", *arguments)
    assert result.exit_code == code
    assert message in result.stderr


def test_emit_prints_a_file_that_runs() -> None:
    import torch

    result = run("emit", "good.mask", "-D", "n=2", "--target", "module")
    assert (result.exit_code, result.stderr) == (0, "")
    scope: dict[str, object] = {}
    exec(compile(result.stdout, "<emitted>", "exec"), scope)
    q = torch.randn(1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    out = scope["attention"](q, q, q)
    at = torch.arange(5)
    mask = (at <= at[:, None]) & (at[:, None] - at < 2)
    plain = torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=mask)
    torch.testing.assert_close(out, plain)


def test_emit_writes_over_a_file() -> None:
    Path("out.py").write_text("old", encoding="utf-8")
    result = run("emit", "c.toml:model.mask", "-o", "out.py")
    assert (result.exit_code, result.stdout) == (0, "wrote out.py\n")
    written = Path("out.py").read_text(encoding="utf-8")
    assert written == run("emit", "c.toml:model.mask").stdout
    assert written.startswith('"""Attention for PyTorch; this file needs torch alone."""\n')
    assert "def flex_args(" in written


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("causal", "-o", "no/such/out.py"), 1, "error[M605]: cannot write `no/such/out.py`: no"),
        (("causal", "-o", "no/such/out.py"), 1, "= help: make the folder first: `no/such`"),
        (("causal", "-o", "."), 1, "error[M605]: cannot write `.`: is a directory"),
        (("causal", "--target", "cuda"), 2, "'cuda' is not one of 'flex', 'sdpa', 'module'"),
        (("causal & q",), 1, "error[M201]: `&` needs a boolean on its right, found an int"),
        (("input x: float; topk(x[k], 2)",), 1, "error[M426]"),
        (("out = out * 2.0",), 1, '`emit("module")` writes all of it'),
        (("param layer: int; window(layer)",), 1, "error[M427]: param `layer` has no value"),
        (("no.mask",), 1, "error[M601]: there is no file `no.mask`"),
        ((), 2, "Missing argument 'PROGRAM'"),
    ],
)
def test_emit_of_nonsense(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run("emit", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_is_whole(command: str) -> None:
    """Dots are where click cuts short a first sentence that is too long for the list."""
    result = click_testing.CliRunner().invoke(main, ["--help"], env={"COLUMNS": "80"})
    listed = next(line for line in result.stdout.splitlines() if line.split()[:1] == [command])
    assert listed.endswith(".")
    assert not listed.endswith("...")
    found = main.get_command(click.Context(main), command)
    options = [p for p in found.params if p.param_type_name == "option"]
    assert all(option.help for option in options)
