"""`use "masks.mask"`: the definitions of a library, by its path from the file it is named in."""

import pickle
from pathlib import Path

import pytest

import maskc
from maskc.source import Source
from maskc.syntax.format import formatted

LOCAL = "causal & window(8)"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lib").mkdir()
    Path("lib/base.mask").write_text("def near(n) = causal & window(n)\n")
    Path("lib/masks.mask").write_text('use "base.mask"\nlet local = near(8)\n')
    Path("a.mask").write_text('use "lib/masks.mask"  # ours\nlocal\n')
    Path("both.mask").write_text('use "lib/masks.mask"; use "lib/base.mask"\nlocal | near(16)\n')
    Path("c.toml").write_text("mask = 'use \"lib/masks.mask\"; local & near(4)'\n")


def test_names_of_a_library_and_of_those_that_it_uses() -> None:
    program = maskc.load("a.mask")
    assert program == maskc.compile_mask(LOCAL)
    assert [Path(one.name).name for one in program.recipe.libraries] == ["base.mask", "masks.mask"]
    assert maskc.load("both.mask") == maskc.compile_mask(f"{LOCAL} | causal & window(16)")
    assert len(maskc.load("both.mask").recipe.libraries) == 2
    assert maskc.load("c.toml:mask") == maskc.compile_mask("causal & window(4)")
    assert maskc.compile_mask("local", library="lib/masks.mask") == program


def test_from_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert maskc.load("../a.mask") == maskc.compile_mask(LOCAL)


def test_a_program_keeps_its_libraries() -> None:
    program = maskc.load("a.mask")
    Path("lib/masks.mask").unlink()
    assert pickle.loads(pickle.dumps(program)) == program
    assert "use" not in program.text
    assert program.source.startswith("use")


def test_a_later_library_hides_an_earlier_one_and_the_program_both() -> None:
    Path("lib/other.mask").write_text("let local = window(2)\n")
    Path("d.mask").write_text('use "lib/masks.mask"\nuse "lib/other.mask"\nlocal\n')
    assert maskc.load("d.mask") == maskc.compile_mask("window(2)")
    Path("d.mask").write_text('use "lib/masks.mask"\nlet local = window(3)\nlocal\n')
    assert maskc.load("d.mask") == maskc.compile_mask("window(3)")


def refused(path: str) -> maskc.MaskcError:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.load(path)
    return caught.value


def test_a_library_that_is_not_there() -> None:
    Path("lib/masks.mask").write_text('\nuse "bass.mask"\nlet local = near(8)\n')
    assert str(refused("a.mask")) == (
        """\
error[M601]: there is no file `lib/bass.mask`
 --> lib/masks.mask:2:1
  2 | use "bass.mask"
    | ^^^^^^^^^^^^^^^
    = help: did you mean `lib/base.mask`?"""
    )


def test_a_path_that_no_system_takes() -> None:
    Path("nul.mask").write_bytes(b'use "lib/\0.mask"\ncausal\n')
    with pytest.raises(maskc.MaskcError, match=r"M6\d\d"):
        maskc.load("nul.mask")


def test_libraries_that_use_each_other() -> None:
    Path("lib/base.mask").write_text('use "masks.mask"\ndef near(n) = window(n)\n')
    assert str(refused("a.mask")) == (
        """\
error[M611]: `masks.mask` uses itself: masks.mask -> base.mask -> masks.mask
 --> lib/base.mask:1:1
  1 | use "masks.mask"
    | ^^^^^^^^^^^^^^^^
    = help: move what both need to a third file"""
    )
    Path("a.mask").write_text('use "./a.mask"\ncausal\n')
    assert refused("a.mask").message == "`a.mask` uses itself: a.mask -> a.mask"


def test_what_is_no_library() -> None:
    Path("a.mask").write_text('use "c.toml"\ncausal\n')
    assert refused("a.mask").code == "M610"
    Path("lib/base.mask").write_text("causal\n")
    assert refused("c.toml:mask").code == "M220"


def test_a_text_of_no_file_uses_none() -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask('use "lib/masks.mask"; local')
    assert str(caught.value).splitlines()[0] == (
        "error[M610]: `use` names a file from the folder of its own, and this text is of no file"
    )
    assert 'give it: `library="lib/masks.mask"`' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("use masks", "M103", "expected a path in quotes, found `masks`"),
        ("use", "M103", "expected a path in quotes, found the end of the statement"),
        ('use "a.mask" b', "M103", "expected the end of the statement, found `b`"),
        ('let a = "a.mask"', "M101", '`"` is not part of the language'),
        ('use "a.mask', "M101", '`"` is not part of the language'),
        ("let use = 3", "M103", "expected a name, found `use`"),
    ],
)
def test_what_cannot_be_read(text: str, code: str, message: str) -> None:
    Path("a.mask").write_text(text)
    error = refused("a.mask")
    assert (error.code, error.message) == (code, message)


def test_the_formatter_keeps_it() -> None:
    assert formatted(Source('use   "lib/a b.mask"# x\n  causal')) == (
        'use "lib/a b.mask"  # x\ncausal\n'
    )


def test_why_speaks_of_what_is_used() -> None:
    reasons = maskc.load("a.mask").bind(q_len=32).why(q=20, k=2).reasons
    assert reasons == ("local: 20 - 2 = 18, not < 8",)
