"""`maskc check` and `maskc fmt` on files and folders, as pre-commit runs them."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

click_testing = pytest.importorskip("click.testing")
main = pytest.importorskip("maskc.cli").main

ROOT = Path(__file__).parents[1]
HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("configs", "deep")
    folder.mkdir(parents=True)
    (folder / "good.mask").write_text("causal\n", encoding="utf-8")
    (folder / "model.toml").write_text(
        'name = "cauzal"\n[a]\nmask = "causal"\nlibrary = "lib.mask"\n'
        '[b]\nattention_mask = ["full", "near & causal"]\nlibrary = "lib.mask"\n',
        encoding="utf-8",
    )
    (folder / "lib.mask").write_text("let near = window(4)\n", encoding="utf-8")
    (folder / "other.yaml").write_text("---\na: 1\n---\nb: 2\n", encoding="utf-8")
    (folder / "notes.txt").write_text("mask = ((", encoding="utf-8")
    Path("configs", ".hidden").mkdir()
    Path("configs", ".hidden", "bad.mask").write_text("((", encoding="utf-8")


def run(*arguments: str) -> "click_testing.Result":
    return click_testing.CliRunner().invoke(main, arguments)


def test_a_folder_of_programs_and_configs() -> None:
    result = run("check", "configs")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "configs/deep/good.mask: fine",
        "configs/deep/lib.mask: fine",
        "configs/deep/model.toml:a.mask: fine",
        "configs/deep/model.toml:b.attention_mask.0: fine",
        "configs/deep/model.toml:b.attention_mask.1: fine",
    ]


def test_errors_of_a_folder() -> None:
    Path("configs", "bad.json").write_text('{"x": [{"mask": "causal & windwo(4)"}]}')
    Path("configs", "broken.toml").write_text("mask = causal\n")
    result = run("check", "configs/bad.json", "configs/broken.toml", "configs/deep/good.mask")
    assert result.exit_code == 1
    assert " --> configs/bad.json:1:27" in result.stderr
    assert "error[M602]" in result.stderr
    assert "2 of 3 programs are wrong" in result.stderr


def test_a_folder_is_checked_past_what_cannot_be_read() -> None:
    Path("configs", "a_link.toml").symlink_to("nowhere")
    Path("configs", "a_list.yaml").write_text("mask: [\n")
    Path("configs", "latin.mask").write_bytes(b"caf\xe9")
    Path("configs", "z.mask").write_text("cauzal")
    result = run("check", "configs")
    assert result.exit_code == 1
    codes = [line[:11] for line in result.stderr.splitlines() if line.startswith("error[")]
    assert codes == ["error[M601]", "error[M602]", "error[M601]", "error[M301]"]
    assert result.stdout.count(": fine\n") == 5
    assert "4 of 9 programs are wrong" in result.stderr


def test_a_long_expression_is_no_path() -> None:
    text = " & ".join(["causal"] * 100)
    assert run("check", text).stdout == f"{text}: fine\n"


def test_other_keys() -> None:
    Path("c.toml").write_text('bias = "cauzal"\nmask = "cauzal"\n')
    assert run("check", "c.toml", "--key", "name").stdout == "c.toml: no program under name\n"
    result = run("check", "c.toml", "--key", "bias")
    assert " --> c.toml:1:9" in result.stderr
    assert result.stderr.count("error[") == 1


def test_fmt_writes_and_checks() -> None:
    path = Path("configs", "deep", "good.mask")
    path.write_text("causal&k<4# note\n", encoding="utf-8")
    result = run("fmt", "--check", "configs")
    assert (result.exit_code, result.stdout) == (1, f"{path}: would change\n")
    assert path.read_text(encoding="utf-8") == "causal&k<4# note\n"
    result = run("fmt", "configs")
    assert (result.exit_code, result.stdout) == (0, f"{path}: formatted\n")
    assert path.read_text(encoding="utf-8") == "causal & k < 4  # note\n"
    result = run("fmt", "--check", "configs")
    assert (result.exit_code, result.stdout) == (0, "")


def test_fmt_leaves_a_wrong_program() -> None:
    Path("bad.mask").write_text("causal&(\n", encoding="utf-8")
    for file in ("bad.mask", "none.mask"):
        result = run("fmt", file)
        assert result.exit_code == 1
        assert result.stderr.startswith("error[M")
    assert Path("bad.mask").read_text(encoding="utf-8") == "causal&(\n"


def test_hooks_run_commands_that_there_are() -> None:
    assert set(HOOKS) == {"maskc-check", "maskc-fmt"}
    for hook in HOOKS.values():
        program, *arguments = shlex.split(hook["entry"])
        assert program == "maskc"
        files = [
            str(path)
            for path in sorted(Path("configs", "deep").iterdir())
            if re.search(hook["files"], str(path))
        ]
        assert len(files) >= 2
        result = run(*arguments, *files)
        assert result.exit_code == 0, result.output
