"""The runner of pages catches what a page may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import run_page as runner

pytestmark = pytest.mark.docs


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what runs the text of a page, and gives what its code prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "ROOT", tmp_path)

    def run(text: str) -> list[str]:
        page = tmp_path / "page.md"
        page.write_text(text.replace("'''", "```"), encoding="utf-8")
        return [printed for _, printed in runner.run_page(page)]

    return run


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("'''python\nassert 1 == 2\n'''", "assert 1 == 2"),
        ("'''python\nimport maskc\nmaskc.compile_mask('casual')\n'''", "M301"),
        ("'''mask\ncausal & q\n'''", "M201"),
        ("'''sh\nmaskc show causal --nothing 3\n'''", "No such option"),
        ("'''sh\ncurl x\n'''", "curl"),
        ("'''toml\nmask = causal\n'''", "Invalid value"),
        ("'''haskell\nmain = pure ()\n'''", "nothing runs"),
        ("'''python title=\"notes.py\"\nx = (\n'''", "never closed"),
        ("=== \"A\"\n\n    '''python\n    assert not 1\n    '''", "assert not 1"),
    ],
)
def test_a_wrong_block_is_caught(run, block: str, error: str) -> None:
    with pytest.raises((AssertionError, KeyError, SyntaxError, ValueError)) as caught:
        run(f"# A page\n\n{block}\n")
    shown = f"{caught.value}\n{caught.getrepr()}"
    assert error in shown
    assert any("page.md" in note for note in caught.value.__notes__)


def test_blocks_share_names_files_and_output(run) -> None:
    found = run(
        "'''mask title=\"near.mask\"\ncausal & window(8)\n'''\n"
        "'''python\nimport maskc\nprogram = maskc.load('near.mask')\n'''\n"
        "'''python title=\"not run: as an example\"\nassert False\n'''\n"
        "'''python\nprint(program.text)\n'''\n"
        "'''text title=\"it prints\"\n'''\n"
    )
    assert found == ["0 <= q - k < 8\n"]
