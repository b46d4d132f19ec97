"""The saved tables are those of the grammar, and tables of another grammar are not used."""

import io
import pickle

import pytest
from lark import Lark

from maskc.syntax import parser as door
from maskc.syntax import resources


def test_the_saved_tables_are_those_of_the_grammar() -> None:
    """If this fails: ``python -m maskc.syntax.parser``."""
    stamp, _, saved = resources.read_bytes(door.TABLES).partition(b"\n")
    fresh, _, made = door.tables().partition(b"\n")
    assert stamp == fresh
    before, after = pickle.loads(saved), pickle.loads(made)
    assert before["data"]["parser"]["parser"].keys() == after["data"]["parser"]["parser"].keys()
    assert before["memo"] == after["memo"]


@pytest.mark.parametrize("text", ["causal & q - k < 512", "score = a if b else c", "let x = (q"])
def test_loaded_and_built_parsers_agree(text: str) -> None:
    _, _, saved = resources.read_bytes(door.TABLES).partition(b"\n")
    loaded = Lark.load(io.BytesIO(saved))
    for start in (loaded, door.built()):
        tokens = [(t.type, str(t)) for t in start.lex(text, dont_ignore=True)]
        assert tokens == [(t.type, str(t)) for t in door.built().lex(text, dont_ignore=True)]


def test_tables_of_another_grammar_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []
    monkeypatch.setattr(door, "built", lambda: used.append(True) or Lark('start: "a"'))
    monkeypatch.setattr(door, "_stamp", lambda: b"lark 0 grammar 0")
    door.parser.__wrapped__()
    assert used
