"""What all tests share: hypothesis' profile, torch's generator and golden files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import profiles
import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
profiles.load()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what is found as what is expected"
    )


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Give each test the same numbers from torch's global generator, whatever ran before."""
    torch.manual_seed(0)


PURE = ("maskc.analysis.", "maskc.passes.", "maskc.binding.", "maskc.topk.")
"""Rooms whose caches hold what their functions return, and nothing that is registered elsewhere."""


@pytest.fixture(autouse=True)
def _no_cache_outlives_a_fault(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a planted fault neither hide behind what was cached before it, nor be cached itself."""
    is_planted = request.node.get_closest_marker("planted") is not None
    if is_planted:
        forget()
    yield
    if is_planted:
        forget()


def forget() -> None:
    """Clear the caches of functions in the rooms that are pure."""
    for name, module in list(sys.modules.items()):
        if name.startswith(PURE):
            for value in list(vars(module).values()):
                clear = getattr(value, "cache_clear", None)
                if clear is not None:
                    clear()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return a check that a file holds a text; with ``--update-golden`` it writes the file."""

    def check(path: Path, found: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found, encoding="utf-8")
        assert path.exists(), f"{path} is missing: write it by `pytest --update-golden`"
        assert found == path.read_text(encoding="utf-8")

    return check
