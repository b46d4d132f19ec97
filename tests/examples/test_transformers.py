"""The examples of transformers run, and print what their texts promise."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]


def test_change_window(capsys: pytest.CaptureFixture[str]) -> None:
    from examples.transformers import change_window

    change_window.main()
    shown = capsys.readouterr().out
    assert "0 <= q - k < 4096" in shown
    assert "k <= q & (k < 4 | q - k < 1024)" in shown


def test_pack_documents(capsys: pytest.CaptureFixture[str]) -> None:
    from examples.transformers import pack_documents

    pack_documents.main()
    shown = capsys.readouterr().out
    assert "packed_sequence_mask[batch, q] == packed_sequence_mask[batch, k]" in shown
    losses = [float(line.split()[-1]) for line in shown.splitlines() if line.startswith("step")]
    assert losses[-1] < losses[0] - 0.5


def test_show_masks(capsys: pytest.CaptureFixture[str]) -> None:
    from examples.transformers import show_masks

    show_masks.main()
    shown = capsys.readouterr().out
    for text in ("0 <= q - k < 128; out = out * sigmoid(lse - s_aux[head])", "// 8192"):
        assert text in shown
    assert "model.layers.*.self_attn (0-4, 6-10)" in shown
