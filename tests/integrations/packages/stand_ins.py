"""Stand-ins for what a package imports and a test does not need, where it cannot be installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from torch import nn


class AnyMember(type):
    """A class of classes that have every member."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


class StandIn(ModuleType):
    """A module that has every name."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return AnyMember(name, (nn.Module,), {}) if name[0].isupper() else MagicMock()


@contextmanager
def standing_in(*names: str) -> Iterator[None]:
    """Let modules be imported that are not there; afterwards they are gone again."""
    added = [name for name in names if name not in sys.modules]
    sys.modules.update({name: StandIn(name) for name in added})
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]
