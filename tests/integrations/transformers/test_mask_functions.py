"""Mask functions of transformers' kind, as programs."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

pytestmark = pytest.mark.models

WIDTH = 3


def causal(batch: Any, head: Any, q: Any, k: Any) -> Any:
    return k <= q


def narrow(batch: Any, head: Any, q: Any, k: Any) -> Any:
    return q - k < WIDTH


def test_only_a_function_of_its_arguments_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from maskc.integrations.transformers.forward import derive

    derive._read_once.cache_clear()
    with mock.patch.object(derive, "read", wraps=derive.read) as read:
        assert derive.derive(causal) == derive.derive(causal)
        assert read.call_count == 1
        before = derive.derive(narrow).text
        monkeypatch.setattr(f"{__name__}.WIDTH", 5)
        assert derive.derive(narrow).text == before.replace("3", "5")
        width = 7
        wide = derive.derive(lambda batch, head, q, k: q - k < width)
        assert wide.text == before.replace("3", "7")
