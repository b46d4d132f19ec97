"""Every example that is a script runs, and says what its README promises."""

from __future__ import annotations

import pytest

from examples import train as train_everywhere
from examples.decoder import train
from examples.decoder.data import packed
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


@pytest.mark.compiled
def test_train_on_every_backend(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = "--steps 5 --rows 2 --length 64 --compiler aot_eager"
    monkeypatch.setattr("sys.argv", ["train.py", *small.split()])
    train_everywhere.main()
    shown = capsys.readouterr().out
    for backend in train_everywhere.BACKENDS:
        (line,) = (line for line in shown.splitlines() if line.startswith(f"{backend} "))
        assert " compiled, 0 later" in line
        assert ("forward only" in line) == (backend == "flex")


@pytest.mark.compiled
def test_train_tells_when_a_step_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = iter([48, 56, 64])
    monkeypatch.setattr(
        train_everywhere,
        "packed",
        lambda vocab, rows, _, seed: packed(vocab, rows, next(lengths), seed),
    )
    small = "--steps 3 --rows 2 --compiler aot_eager --backends sdpa"
    monkeypatch.setattr("sys.argv", ["train.py", *small.split()])
    with pytest.raises(AssertionError, match="a later step compiled"):
        train_everywhere.main()


@pytest.mark.packages
def test_monai(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed: `pip install 'maskc[dev]'`")
    from examples.monai import blocks

    blocks.main()
    shown = capsys.readouterr().out
    assert "rel_h[batch, head, q_idx, k.h]" in shown
    assert float(shown.split()[-1]) < 1e-4
