"""The standard library as a whole: every name is documented, tested by hand and in the gallery."""

import re
from pathlib import Path

import pytest

from maskc.program import compile_mask
from maskc.view.library import Entry, entries

ROOT = Path(__file__).parents[2]
TESTS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in [*Path(__file__).parent.glob("test_*.py"), ROOT / "tests/elaborate/test_prelude.py"]
    if path != Path(__file__)
)
GALLERY = (ROOT / "examples/README.md").read_text(encoding="utf-8")
INNER = {"t5_half": "t5_bucket", "sample": "sampled", "neighbourhood": "natten"}
"""Definitions that others are made of, and through which they are tested and shown."""
UNPICTURED = {"full"}
DEFINED = [entry for entry in entries() if entry.meaning]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.form)
def test_every_name_has_a_doc(entry: Entry) -> None:
    assert len(entry.doc) > 15
    assert not entry.doc.endswith("."), "a doc is a phrase"


@pytest.mark.parametrize("entry", DEFINED, ids=lambda entry: entry.form)
def test_every_name_is_tested_and_shown(entry: Entry) -> None:
    name = INNER.get(entry.name, entry.name)
    assert re.search(rf"\b{name}\b", TESTS)
    if name not in UNPICTURED:
        programs = re.findall(r"```\n(.*?)\n```", GALLERY, flags=re.S)
        assert any(re.search(rf"\b{name}\b", text) for text in programs), "not in the gallery"


@pytest.mark.parametrize("entry", DEFINED, ids=lambda entry: entry.form)
def test_every_name_may_be_declared_anew(entry: Entry) -> None:
    program = compile_mask(f"input {entry.name}: bool\n{entry.name}[q, k]")
    assert [declared.rank for declared in program.inputs] == [2]
    assert program.hidden == (f"`{entry.name}` hides the prelude's",)


def test_the_gallery_shows_every_example() -> None:
    for path in sorted((ROOT / "examples").glob("*.mask")):
        assert f"[{path.name}]({path.name})" in GALLERY, path.name


def test_the_gallery_has_its_pictures_and_no_others() -> None:
    linked = set(re.findall(r"\(images/([\w-]+\.png)\)", GALLERY))
    kept = {path.name for path in (ROOT / "examples/images").glob("*.png")}
    assert linked <= kept
    assert kept - linked <= {"packed.png"}
