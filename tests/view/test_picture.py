"""A picture is written, of a bounded size, whatever the shape of the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskc import compile_mask
from maskc.errors import MaskcError
from maskc.view.looked_at import looked_at
from maskc.view.picture import Pictured, picture
from maskc.view.scene import Scene
from maskc.view.shares import Looker, Part
from maskc.view.style import EMPTY, FULL, PARTIAL, QUERY, shade

PIL = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


def pictured(text: str, q_len: int, kv_len: int, title: str = "", block: int = 16) -> Pictured:
    sizes = {"batch_size": 1, "num_heads": 1, "num_kv_heads": 1, "q_len": q_len, "kv_len": kv_len}
    scene = Scene(compile_mask(text), sizes, block=block)
    looker = Looker(scene, looked_at(scene))
    return Pictured(looker, Part(range(q_len), range(kv_len)), title or text, 1.0, q_len // 2)


@pytest.mark.parametrize("shape", [(1, 1), (1000, 3), (300_000, 300_000)])
def test_any_shape(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture(pictured("causal", *shape), path)
    width, height = PIL.open(path).size
    assert 280 <= height <= 1300
    assert 600 <= width <= 2000


def colours_of(path: Path) -> set[str]:
    image = PIL.open(path).convert("RGB")
    _, colours = zip(*image.getcolors(image.width * image.height), strict=True)
    return {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours}


def test_the_kinds_have_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture(pictured("causal", 64, 64, "a long title; " * 30), path)
    assert colours_of(path) >= {EMPTY, PARTIAL, FULL}
    assert QUERY not in colours_of(path)


def test_a_score_and_a_grid_have_panels(tmp_path: Path) -> None:
    text = "axis h = 8, w = 8\nnear(h, 2) & near(w, 2)"
    path = tmp_path / "mask.png"
    picture(pictured(f"{text}; score = score - float(abs(q - k))", 64, 64), path)
    assert QUERY in colours_of(path)
    assert abs(PIL.open(path).width - 150 * (4.1 * 3 + 0.5)) < 5


def test_shades_grow_with_the_share() -> None:
    ramp = shade(np.linspace(0, 1, 11)[None], None)[0].sum(-1)
    assert (np.diff(ramp) < 0).all()
    tinted = shade(np.zeros((1, 2)), np.array([[False, True]]))
    assert (tinted[0, 0] != tinted[0, 1]).any()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MaskcError, match=r"M605.*cannot write"):
        picture(pictured("causal", 2, 2), tmp_path / "no" / "a.png")
    with pytest.raises(MaskcError, match=r"M605.*cannot write"):
        picture(pictured("causal", 2, 2), tmp_path / "a.nonsense")
