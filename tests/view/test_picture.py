"""A picture is written, of a bounded size, whatever the shape of the mask."""

from pathlib import Path

import numpy as np
import pytest
from maskc.view.tiles import Tile

from maskc.errors import MaskcError
from maskc.view.picture import COLOURS, picture

PIL = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (1000, 3), (1, 700), (30, 90)])
def test_any_shape(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture(np.tri(*shape, dtype=bool), path, title="causal", block=(16, 8))
    width, height = PIL.open(path).size
    assert 300 <= height <= 1300
    assert 1000 <= width <= 1500


def test_the_three_kinds_have_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    picture(np.tri(64, 64, dtype=bool), path, title="a long title; " * 30, block=(16, 16))
    image = PIL.open(path).convert("RGB")
    _, colours = zip(*image.getcolors(image.width * image.height), strict=True)
    assert {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours} >= {COLOURS[tile] for tile in Tile}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MaskcError, match=r"M605.*cannot write"):
        picture(np.ones((2, 2), dtype=bool), tmp_path / "no" / "a.png", title="", block=(1, 1))
    with pytest.raises(MaskcError, match=r"M605.*cannot write"):
        picture(np.ones((2, 2), dtype=bool), tmp_path / "a.nonsense", title="", block=(1, 1))
