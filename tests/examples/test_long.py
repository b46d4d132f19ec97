"""The long example at a small size: it takes bands, learns, and keeps nothing from step to step."""

from __future__ import annotations

import sys

import pytest

from examples import long


def test_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = "--tokens 2048 --documents 8 --steps 3 --width 32 --heads 2"
    monkeypatch.setattr(sys, "argv", ["long.py", *sizes.split()])
    long.main()
    told = capsys.readouterr().out
    assert "auto         banded" in told
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in told.splitlines()[-3:]]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
