"""What all tests share: hypothesis' profile, torch's generator and golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
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
