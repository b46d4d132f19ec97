"""Pytest fixtures: compare the backends of a program in a test of one's own.

``maskc_diff`` and ``maskc_assert_equivalent`` are the functions of ``maskc.testing``; a test that
takes ``maskc_backend`` runs once for each backend of ``--maskc-backends=flex,sdpa``, or for each
that ``maskc.testing.diff`` compares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from maskc.testing import Report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--maskc-backends``."""
    parser.getgroup("maskc").addoption(
        "--maskc-backends",
        metavar="NAMES",
        help="backends that `maskc_backend` runs over, comma separated (default: those of `diff`)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse an unknown backend before anything runs; without the option, load nothing."""
    if not config.getoption("--maskc-backends"):
        return
    from maskc.run.backends import BACKENDS

    for name in _backends(config):
        if name not in BACKENDS:
            listed = ", ".join(BACKENDS)
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
    named = config.getoption("--maskc-backends")
    if named:
        return [name.strip() for name in named.split(",")]
    from maskc.testing import BACKENDS

    return list(BACKENDS)
