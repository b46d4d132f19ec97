"""Every example that is a script runs, and says what its README promises."""

from __future__ import annotations

import pytest

from examples.decoder import train
from examples.dynamic_mask import dynamic


def test_dynamic_mask(capsys: pytest.CaptureFixture[str]) -> None:
    dynamic.main()
    shown = capsys.readouterr().out
    assert "topk(bias[kv_head, k], 8)" in shown
    losses = [float(line.split()[-1]) for line in shown.splitlines() if line.startswith("step")]
    assert losses[-1] < losses[0] / 2


def test_decoder(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--steps", "10"])
    train.main()
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < losses[0]


def test_monai(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed: `pip install 'maskc[dev]'`")
    from examples.monai import blocks

    blocks.main()
    shown = capsys.readouterr().out
    assert "rel_h[batch, head, q_idx, k.h]" in shown
    assert float(shown.split()[-1]) < 1e-4
