"""Where a program's text comes from, and what is said when it cannot be read."""

from pathlib import Path

import pytest

from maskc.loading import LoadError, read_source

TOML = """
[model]
layers = 4

[model.attention]
mask = "causal & window(512)"
masks = ["full", "causal"]
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "causal",
        "causal & q.h < 3 # see other.mask for more",
        "let a = q\ncausal",
        "q.h == k.h if q < 3 else causal",
        "",
    ],
)
def test_an_expression_is_its_own_source(text: str) -> None:
    source = read_source(text)
    assert (source.text, source.name) == (text, "<mask>")


def test_a_mask_file() -> None:
    Path("my model.mask").write_text("causal\n", encoding="utf-8")
    source = read_source("my model.mask")
    assert (source.text, source.name) == ("causal\n", "my model.mask")


def test_a_key_of_each_format() -> None:
    Path("c.toml").write_text(TOML, encoding="utf-8")
    Path("c.json").write_text('{"model": {"mask": "full"}}', encoding="utf-8")
    Path("c.yaml").write_text("model:\n  mask: |\n    causal\n    score = score\n")
    assert read_source("c.toml:model.attention.mask").text == "causal & window(512)"
    assert read_source("c.toml:model.attention.mask").name == "c.toml:model.attention.mask"
    assert read_source("c.toml:model.attention.masks.1").text == "causal"
    assert read_source("c.json:model.mask").text == "full"
    assert read_source("c.yaml:model.mask").text == "causal\nscore = score\n"


BAD = {
    "nothing.mask": "error[M601]: there is no file `nothing.mask`",
    "cc.toml:model": "error[M601]: there is no file `cc.toml`\n    = help: did you mean `c.toml`?",
    "folder.mask": "error[M601]: cannot read `folder.mask`: is a directory",
    "latin.mask": "error[M601]: `latin.mask` is not UTF-8: byte 3 is 0xe9\n"
    "    = help: save the file as UTF-8",
    "program.mask:key": "error[M603]: `program.mask` is a program, it has no keys\n"
    "    = help: write `program.mask`",
    "c.toml": "error[M603]: `c.toml` needs a key\n"
    "    = help: keys with a text: `c.toml:model.attention.mask`, "
    "`c.toml:model.attention.masks.0`, `c.toml:model.attention.masks.1`",
    "c.toml:": "error[M603]: `c.toml` needs a key\n"
    "    = help: keys with a text: `c.toml:model.attention.mask`, "
    "`c.toml:model.attention.masks.0`, `c.toml:model.attention.masks.1`",
    "c.toml:model.attention.mesk": "error[M603]: `model.attention` of `c.toml` has no key `mesk`\n"
    "    = help: did you mean `model.attention.mask`?",
    "c.toml:x": "error[M603]: `c.toml` has no key `x`\n"
    "    = help: keys with a text: `c.toml:model.attention.mask`, "
    "`c.toml:model.attention.masks.0`, `c.toml:model.attention.masks.1`",
    "c.toml:model.layers": "error[M604]: `model.layers` of `c.toml` is `4`, "
    "expected the text of a program",
    "c.toml:model.attention": "error[M604]: `model.attention` of `c.toml` is a table, "
    "expected the text of a program\n"
    "    = help: keys with a text: `c.toml:model.attention.mask`, "
    "`c.toml:model.attention.masks.0`, `c.toml:model.attention.masks.1`",
    "bad.toml:a": "error[M602]: the file is not TOML: invalid value\n"
    " --> bad.toml:2:5\n"
    "  2 | a = causal\n"
    "    |     ^",
    "bad.json:a": "error[M602]: the file is not JSON: expecting value\n"
    " --> bad.json:1:7\n"
    '  1 | {"a": causal}\n'
    "    |       ^",
    "bad.yml:a": "error[M602]: the file is not YAML: mapping values are not allowed here\n"
    " --> bad.yml:1:10\n"
    "  1 | a: causal: b\n"
    "    |          ^",
    "loop.yaml:a": "error[M603]: `loop.yaml` has no key `a`",
}


@pytest.mark.parametrize(("ref", "rendered"), BAD.items())
def test_what_is_said(ref: str, rendered: str) -> None:
    Path("c.toml").write_text(TOML, encoding="utf-8")
    Path("folder.mask").mkdir()
    Path("latin.mask").write_bytes("caf\xe9".encode("latin-1"))
    Path("program.mask").write_text("causal", encoding="utf-8")
    Path("bad.toml").write_text("x = 1\na = causal\n", encoding="utf-8")
    Path("bad.json").write_text('{"a": causal}', encoding="utf-8")
    Path("bad.yml").write_text("a: causal: b\n", encoding="utf-8")
    Path("loop.yaml").write_text("&a [*a]\n", encoding="utf-8")
    with pytest.raises(LoadError) as caught:
        read_source(ref)
    assert str(caught.value) == rendered


def test_nested_too_deeply() -> None:
    Path("deep.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(LoadError, match="nested too deeply"):
        read_source("deep.json:a")
