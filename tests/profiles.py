"""How many examples a property draws, and whether they are the same each time.

``HYPOTHESIS_PROFILE`` names one of these:

- ``newcomer``, the default: the same draws on every machine, fewer than a test asks for.
- ``all``: the same on every machine too, as many as it asks for.
- ``explore``: random ones, and many. What fails is kept in ``.hypothesis`` until it passes, and
  belongs into the test as an ``@example``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from hypothesis import HealthCheck, Phase, find, register_random, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.internal.conjecture import providers
from hypothesis.strategies import SearchStrategy

SCALES = {"newcomer": 0.2, "all": 1.0, "explore": 4.0}
"""The examples of each profile, as multiples of those that a test asks for."""

MOST = 3000
"""The examples in which a planted fault must show."""

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "newcomer")


def examples(count: int) -> int:
    """Return how many examples the profile draws where a test asks for ``count``."""
    return round(count * SCALES[PROFILE])


def load() -> None:
    """Make the profile the default of all tests; to be called before they are imported."""
    random = PROFILE == "explore"
    settings.register_profile(
        PROFILE,
        deadline=None,
        max_examples=examples(60),
        derandomize=not random,
        database=DirectoryBasedExampleDatabase(".hypothesis/examples") if random else None,
        print_blob=random,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile(PROFILE)
    register_random(TORCH)
    if not random:
        _draw_no_constants_of_the_sources()


def find_fault(cases: SearchStrategy[Any], is_caught: Callable[[Any], bool]) -> None:
    """Assert that some drawn case shows a planted fault; the smallest is not looked for."""
    quick = settings(max_examples=MOST, phases=[Phase.generate], database=None)
    find(cases, is_caught, settings=quick)


@contextmanager
def unshrunk(test: Callable[..., Any]) -> Iterator[None]:
    """Let a property draw until it fails, and end there: the smallest failure takes minutes."""
    name = "_hypothesis_internal_use_settings"
    asked = getattr(test, name, None)
    if asked is None:  # it draws nothing
        yield
        return
    phases = [Phase.explicit, Phase.generate]
    quick = settings(asked, max_examples=MOST, phases=phases, report_multiple_bugs=False)
    with mock.patch.object(test, name, quick):
        yield


class TorchRandom:
    """torch's global generator: hypothesis seeds it before each example."""

    def seed(self, value: int) -> None:
        torch.manual_seed(value)

    def getstate(self) -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    def setstate(self, state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


TORCH = TorchRandom()  # hypothesis keeps no reference to it


def _draw_no_constants_of_the_sources() -> None:
    """Keep hypothesis from drawing constants that stand in the modules loaded so far.

    Which modules are loaded depends on the tests that ran before in the same process, and which
    files count as sources on the path of the checkout.
    """
    assert hasattr(providers, "is_local_module_file")
    providers.is_local_module_file = lambda path: False
