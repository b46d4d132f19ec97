"""The fixtures, as a project that tests its own programs sees them."""

import pytest
import torch._dynamo  # noqa: F401

# Loaded before pytester, which takes away the modules that a run loads: these load once a process.
from maskc import Bound, testing  # noqa: F401

pytest_plugins = ["pytester"]

SUITE = """
import maskc, torch

def test_backends(maskc_backend):
    assert maskc_backend in ("flex", "sdpa", "banded", "reference")

def test_equivalent(maskc_assert_equivalent, maskc_diff):
    q = torch.randn(1, 2, 5, 8)
    program = maskc.compile_mask("causal")
    maskc_assert_equivalent(program, q, q, q, backends=["sdpa"])
    assert maskc_diff(program, q, q, q, backends=["sdpa"]).worst.largest < 1e-5
"""


@pytest.fixture(autouse=True)
def _only_this_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(SUITE)


def test_every_backend_by_default(pytester: pytest.Pytester) -> None:
    pytester.runpytest("-p", "maskc.pytest_plugin").assert_outcomes(passed=5)


def test_some_backends(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("-p", "maskc.pytest_plugin", "-v", "--maskc-backends=sdpa")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_backends?sdpa? PASSED*"])


def test_an_unknown_backend(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("-p", "maskc.pytest_plugin", "--maskc-backends=flux")
    assert result.ret != 0
    result.stderr.fnmatch_lines(
        ["*no backend 'flux', there are flex, sdpa, sdpa+columns, banded, reference*"]
    )
