"""A user's file passes the strictest checkers of types, and its mistakes are told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from maskc.compiled import EMPTY_ROWS
from maskc.emit.file import TARGETS
from maskc.options import BackendName, Balance, EmptyRows, Fallback, Target
from maskc.run.backends import AUTO, BACKENDS
from maskc.scale.order import ORDERS
from maskc.tracing import block_mask

USER = Path(__file__).with_name("user.py")
ROOT = Path(__file__).parents[2]


def test_the_words_are_those_of_the_tables() -> None:
    assert set(get_args(BackendName)) == {AUTO, *BACKENDS}
    assert set(get_args(Balance)) == set(ORDERS)
    assert get_args(EmptyRows) == EMPTY_ROWS
    assert get_args(Target) == TARGETS
    assert set(get_args(Fallback)) == set(block_mask.FALLBACKS)


@pytest.mark.processes
def test_mypy_is_content() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", str(USER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.processes
def test_pyright_is_content(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright")
    config = tmp_path / "pyrightconfig.json"
    settings = {
        "include": [str(USER)],
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
    }
    config.write_text(json.dumps(settings))
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--project",
        str(config),
        "--pythonpath",
        sys.executable,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
