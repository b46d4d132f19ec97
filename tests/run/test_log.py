"""What maskc says of its decisions where somebody listens, and that it says nothing else."""

from __future__ import annotations

import logging

import pytest
import torch

from maskc import compile_mask


def test_decisions_are_logged_with_their_time(caplog: pytest.LogCaptureFixture) -> None:
    program = compile_mask("causal & window(64) & q != 11")
    with caplog.at_level(logging.DEBUG, logger="maskc"):
        bound = program.bind(q_len=40)
        bound(*torch.randn(3, 1, 1, 40, 8))
        assert bound.block_mask is not None
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert f"bound {program.digest[:8]} at 40 x 40: " in said
    assert "auto takes sdpa: a dense mask would be small" in said
    assert "tiles: 0 full, 1 partial, 0 empty, decided by" in said
    assert "block tables in blocks of (128, 128)" in said
    assert said.count(" ms") >= 3


def test_nothing_is_logged_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="maskc"):
        assert compile_mask("window(7) & q != 13").bind(q_len=40).block_mask is not None
    assert not caplog.records
