"""A bar for long work, on stderr, where a person looks on."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from maskc.view.terminal import MANY, with_bar


class Terminal(StringIO):
    """A file that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "count", "shown"),
    [(Terminal(), MANY, True), (Terminal(), MANY - 1, False), (StringIO(), MANY, False)],
)
def test_a_bar_is_shown_for_many(
    file: StringIO, count: int, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", file)
    assert list(with_bar(range(count), "programs")) == list(range(count))
    assert ("100%" in file.getvalue()) is shown
