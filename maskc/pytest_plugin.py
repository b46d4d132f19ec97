"""Pytest fixtures: compare the backends of a program in a test of one's own.

``maskc_diff`` and ``maskc_assert_equivalent`` are the functions of ``maskc.testing``; a test that
takes ``maskc_backend`` runs once for each backend of ``--maskc-backends=flex,sdpa,reference``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from maskc.testing import Report

KNOWN = ("flex", "sdpa", "reference")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--maskc-backends``."""
    parser.getgroup("maskc").addoption(
        "--maskc-backends",
        default=",".join(KNOWN),
        metavar="NAMES",
        help="backends that `maskc_backend` runs over, comma separated (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown backend before anything runs."""
    for name in _backends(config):
        if name not in KNOWN:
            listed = ", ".join(KNOWN)
            raise pytest.UsageError(f"--maskc-backends: no backend {name!r}, there are {listed}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``maskc_backend`` once for each backend."""
    if "maskc_backend" in metafunc.fixturenames:
        metafunc.parametrize("maskc_backend", _backends(metafunc.config))


@pytest.fixture
def maskc_diff() -> Callable[..., Report]:
    """Return ``maskc.testing.diff``."""
    from maskc.testing import diff

    return diff


@pytest.fixture
def maskc_assert_equivalent() -> Callable[..., Report]:
    """Return ``maskc.testing.assert_equivalent``."""
    from maskc.testing import assert_equivalent

    return assert_equivalent


def _backends(config: pytest.Config) -> list[str]:
    return [name.strip() for name in config.getoption("--maskc-backends").split(",")]
