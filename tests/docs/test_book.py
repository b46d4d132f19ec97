"""The book is complete: every public name, every error code and every page has its place."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from docs.generate import errors, library, performance, pictures
from docs.generate.__main__ import GENERATED, TAKEN
from docs.generate.blocks import NOT_RUN, blocks
from docs.generate.links import LINK, moved, outside_fences
from maskc.view.library import entries

pytestmark = pytest.mark.docs
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text(encoding="utf-8")
WRITTEN = sorted(DOCS.rglob("*.md"))
CODES = {
    code
    for path in (ROOT / "maskc").rglob("*.py")
    for code in re.findall(r'"(M\d{3})"', path.read_text(encoding="utf-8"))
}
EXAMPLES = {example.code: example for example in errors.examples()}


@pytest.mark.parametrize(
    "package",
    ["maskc", "maskc.testing", "maskc.scale", "maskc.integrations.transformers"],
)
def test_every_public_name_is_in_the_api(package: str) -> None:
    shown = set(re.findall(r"^::: ([\w.]+)", API, flags=re.M))
    names = import_module(package).__all__
    assert names
    if package not in shown:
        assert {f"{package}.{name}" for name in names} <= shown


def test_the_inputs_of_the_library_are_in_the_api() -> None:
    assert "::: maskc.integrations.inputs" in API


def test_every_code_has_an_example_and_no_other() -> None:
    assert EXAMPLES.keys() == CODES


def test_few_examples_are_not_run() -> None:
    reasons = {code: example.not_run for code, example in EXAMPLES.items() if example.not_run}
    assert len(reasons) <= 15
    assert all(len(reason) > 10 for reason in reasons.values())


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_an_example_gives_its_code_and_a_fix(code: str) -> None:
    if not EXAMPLES[code].not_run:
        assert f"[{code}]" in errors.said(EXAMPLES[code])


def test_every_page_is_in_the_navigation_once() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    sections = [pages for section in config["project"]["nav"] for pages in section.values()]
    listed = [page for pages in sections for page in pages]
    pages = {path.relative_to(DOCS).as_posix() for path in WRITTEN}
    assert sorted(listed) == sorted({*pages, *TAKEN.values(), *GENERATED})


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "README.md"], ids=lambda path: path.stem)
def test_links_lead_to_files(page: Path) -> None:
    targets: list[str] = []

    def found(prose: str) -> str:
        targets.extend(link["target"] for link in LINK.finditer(prose))
        return prose

    outside_fences(page.read_text(encoding="utf-8"), found)
    for target in targets:
        path = target.partition("#")[0]
        if path and ":" not in path:
            file = (page.parent / path).resolve()
            generated = file in {DOCS / name for name in [*GENERATED, pictures.START]}
            assert generated or file.exists(), target


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.stem)
def test_what_does_not_run_says_why(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.title.startswith("not run"):
            assert len(block.title) > len(NOT_RUN) + 8, f"{page.name}:{block.line}"


def test_every_name_of_the_library_is_on_its_page() -> None:
    page = library.page()
    for entry in entries():
        assert f"### `{entry.declaration}`" in page
        for number in re.findall(r"arXiv:(\d{4}\.\d{5})", entry.doc):
            assert f"https://arxiv.org/abs/{number}" in page


def test_every_result_is_on_the_page_of_measurements() -> None:
    page = performance.page()
    for path in (ROOT / "benchmarks/results").glob("*.json"):
        assert f"## {path.stem.replace('_', ' ').capitalize()}\n" in page


def test_links_move_with_their_page() -> None:
    pages = {"docs/a.md": "a.md", "examples/README.md": "gallery.md", "docs/r/b.md": "r/b.md"}
    prose = "[a](../a.md#x) ![i](../../examples/README.md) [out](https://a.b)"
    text = f"{prose}\n```\n[a](../a.md)\n```\n"
    found = moved(text, "docs/r/b.md", "r/b.md", pages, "far/{}".format)
    assert found.startswith("[a](../a.md#x) ![i](../gallery.md) [out](https://a.b)\n")
    assert found.endswith("[a](../a.md)\n```\n")
    found = moved("[m](gemma2.mask)", "examples/README.md", "gallery.md", pages, "far/{}".format)
    assert found == "[m](far/examples/gemma2.mask)"
