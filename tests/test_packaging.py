"""What is shipped is what is there, and what is shown works."""

import re
import tomllib
from pathlib import Path

import pytest

from maskc.checking import check
from maskc.loading import read_source
from maskc.source import Source

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PROGRAMS = [
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("examples/**/*.mask")),
    "examples/packed_grid.toml:model.attention.mask",
]
SHOWN = [
    (page, block)
    for page in ("README.md", "grammar/README.md")
    for block in re.findall(r"```mask\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
]
SCRIPTS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


def test_every_package_is_shipped() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("maskc/**/__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"maskc.grammar"}


def test_every_data_file_is_shipped() -> None:
    shipped = PROJECT["tool"]["setuptools"]["package-data"]["maskc.grammar"]
    files = [path for path in (ROOT / "grammar").iterdir() if path.is_file()]
    for path in files:
        assert path.suffix in (".py", ".md") or any(path.match(pattern) for pattern in shipped)


def test_nothing_shadows_the_grammar() -> None:
    assert not (ROOT / "maskc" / "grammar.py").exists()
    assert not (ROOT / "maskc" / "grammar").exists()


def test_every_requirement_is_pinned() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if line and not line.startswith("#")}
    project = PROJECT["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    assert {_name(line) for lines in wanted for line in lines} - {"maskc"} <= pinned


@pytest.mark.parametrize("ref", PROGRAMS)
def test_every_example_compiles(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert list(map(str, check(read_source(ref)))) == []


@pytest.mark.parametrize(("page", "text"), SHOWN)
def test_every_program_of_a_page_compiles(page: str, text: str) -> None:
    assert list(map(str, check(Source(text, page)))) == []


def test_the_python_of_the_readme_runs() -> None:
    assert SCRIPTS
    names: dict[str, object] = {}
    for script in SCRIPTS:
        exec(compile(script, "README.md", "exec"), names)


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
