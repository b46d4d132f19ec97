"""Every code block of every page runs, and prints what the page says."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest
from run_page import run_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md"))


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = run_page(page)
    if request.config.getoption("--update-golden"):
        text = page.read_text(encoding="utf-8")
        for block, printed in reversed(found):
            text = text[: block.start] + indent(clean(printed), block.indent) + text[block.end :]
        page.write_text(text, encoding="utf-8")
        return
    for block, printed in found:
        assert clean(printed) == block.code, f"{page.name}:{block.line}"


def clean(printed: str) -> str:
    """Return output as a page shows it: without blanks at the ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
