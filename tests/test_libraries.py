"""An unknown name that a library beside the program defines."""

from pathlib import Path

import pytest

from maskc.errors import MaskcError
from maskc.program import load

click_testing = pytest.importorskip("click.testing")
main = pytest.importorskip("maskc.cli").main


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_program.mask").write_text("let local = window(9)\ncausal", encoding="utf-8")
    Path("broken.mask").write_text("let local = window(", encoding="utf-8")
    Path("masks.mask").write_text("let local = causal & window(4)\n", encoding="utf-8")
    Path("model.mask").write_text("local & same_doc\n", encoding="utf-8")
    Path("c.toml").write_text('mask = "local & lokal"\n', encoding="utf-8")


def test_the_library_is_named() -> None:
    for ref, named in (("model.mask", "use"), ("c.toml:mask", "library =")):
        help = f'    = help: `masks.mask` defines it: name it, as in `{named} "masks.mask"`'
        with pytest.raises(MaskcError) as caught:
            load(ref)
        assert "error[M301]: unknown name `local`" in str(caught.value)
        assert help in str(caught.value).splitlines()
        result = click_testing.CliRunner().invoke(main, ["check", ref])
        assert help in result.stderr.splitlines()
    assert "q - k < 4" in load("model.mask", library="masks.mask").text


def test_other_names_are_as_they_were() -> None:
    result = click_testing.CliRunner().invoke(main, ["check", "c.toml"])
    assert "unknown name `lokal`" in result.stderr
    assert result.stderr.count("defines it") == 1
    with pytest.raises(MaskcError, match="declare it: `input local: int`"):
        load("local & causal")
