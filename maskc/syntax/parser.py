"""The LALR parser of one statement, from tables that are saved beside the grammar.

Building the tables takes 90 ms, loading them 4. ``python -m maskc.syntax.parser`` saves them anew.
They name the grammar and the version of lark that they were made from; with another of either the
parser is built from the grammar, so tables that are out of date cost time and nothing else.
"""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import lark
from lark import Lark

from maskc.syntax import resources

GRAMMAR, TABLES = "maskc.lark", "maskc.tables"


@cache
def parser() -> Lark:
    """Return the parser."""
    try:
        saved = resources.read_bytes(TABLES)
    except FileNotFoundError:
        return built()
    stamp, _, tables = saved.partition(b"\n")
    return Lark.load(io.BytesIO(tables)) if stamp == _stamp() else built()


def built() -> Lark:
    """Return the parser, built from the grammar."""
    return Lark(
        resources.read(GRAMMAR),
        start=["statement", "separator"],
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def tables() -> bytes:
    """Return what is to be saved: a line that says what it was made from, and lark's tables."""
    saved = io.BytesIO()
    built().save(saved)
    return _stamp() + b"\n" + saved.getvalue()


def _stamp() -> bytes:
    digest = hashlib.sha256(resources.read(GRAMMAR).encode()).hexdigest()
    return f"lark {lark.__version__} grammar {digest}".encode()


if __name__ == "__main__":
    Path(__file__).parents[2].joinpath("grammar", TABLES).write_bytes(tables())
