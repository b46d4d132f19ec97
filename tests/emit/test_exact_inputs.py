"""An emitted file refuses ints that decide as floats and are too large for them."""

from typing import Any

import pytest
import torch

import maskc


def test_large_ints_beside_floats_are_refused() -> None:
    scope: dict[str, Any] = {}
    exec(maskc.compile_mask("input d: int; d[q] / 2 < d[k] / 2").emit("module"), scope)
    q = torch.ones(1, 1, 4, 2)
    scope["attention"](q, q, q, d=torch.arange(4))
    with pytest.raises(ValueError, match="input d decides as a float"):
        scope["attention"](q, q, q, d=torch.arange(4) + 2**24)
