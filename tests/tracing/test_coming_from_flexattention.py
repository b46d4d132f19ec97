"""The pairs of the page for FlexAttention's users: each function is traced to the text below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import or_masks

import maskc
from maskc.arity import takes_score

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-flexattention.md"
PAIRS = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def test_there_are_ten() -> None:
    assert len(PAIRS) == 10


@pytest.mark.parametrize(("code", "text"), PAIRS)
def test_a_pair(code: str, text: str) -> None:
    scope: dict[str, Any] = {"torch": torch, "or_masks": or_masks}
    exec(compile(code, str(PAGE), "exec"), scope)
    kind = "score_mod" if takes_score(scope["mod"]) else "mask_mod"
    traced = maskc.trace(**{kind: scope["mod"]})
    assert traced.text() == text.strip()
    assert maskc.compile_mask(text) == traced.program
