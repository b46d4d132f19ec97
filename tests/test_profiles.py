"""A newcomer's draws are the same in every process, whatever else runs in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from environments import Case, environments
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from profiles import PROFILE, examples, find_fault
from strategies import modules

from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.passes.support.driver import simplify

HERE = Path(__file__).parent


def digest() -> str:
    """Return a digest of drawn programs, what they simplify to, and calls that fit them."""
    found = hashlib.sha256()

    @settings(max_examples=25, phases=[Phase.generate])
    @given(st.data(), modules(), st.integers())
    def draw(data: st.DataObject, module: Module, number: int) -> None:
        case: Case = data.draw(environments(module, positions=True, pairs=True))
        simplified = to_text(simplify(module).module)
        found.update(f"{to_text(module)}{simplified}{case}{number}{torch.rand(1)}".encode())

    draw()
    return found.hexdigest()


@pytest.mark.processes
@pytest.mark.skipif(PROFILE == "explore", reason="these draws are random")
def test_another_process_draws_the_same() -> None:
    code = "import profiles; profiles.load(); import test_profiles; print(test_profiles.digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [digest()]


def test_what_is_no_fault_is_not_found() -> None:
    with pytest.raises(NoSuchExample):
        find_fault(st.integers(0, 5), lambda number: number > 5)


def test_examples_grow_with_the_profile() -> None:
    assert 0 < examples(10) <= examples(60)
