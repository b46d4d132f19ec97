"""What is said of a gathered input holds for every element that a tile reads."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskc.analysis.intervals.domain import Bounds
from maskc.analysis.intervals.gather import Gather

DTYPES = st.sampled_from([torch.int64, torch.int32, torch.float32, torch.bool, torch.float64])


@st.composite
def subscripts(draw: st.DrawFn, tiles: int) -> Bounds:
    """Draw an interval of subscripts for each tile; they may leave their input."""
    lo = torch.tensor(draw(st.lists(st.integers(-3, 40), min_size=tiles, max_size=tiles)))
    if draw(st.booleans()):
        return Bounds(lo, lo, 40)
    width = torch.tensor(draw(st.lists(st.integers(0, 20), min_size=tiles, max_size=tiles)))
    return Bounds(lo, lo + width, 60)


@given(
    st.data(), st.lists(st.integers(1, 30), min_size=1, max_size=3), DTYPES, st.integers(0, 2**16)
)
def test_gather(data: st.DataObject, shape: list[int], dtype: torch.dtype, seed: int) -> None:
    source = torch.randint(-9, 10, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    places = [data.draw(subscripts(tiles=4)) for _ in shape]
    gather = Gather()
    for _ in range(2):  # the second time from what was kept
        if dtype is torch.bool:
            verdict = gather.booleans("x", source, places)
            for tile, values in enumerate(reads(source, places)):
                assert not verdict.always[tile] or values.all()
                assert not verdict.never[tile] or not values.any()
        else:
            result = gather.numbers("x", source, places)
            for tile, values in enumerate(reads(source, places)):
                assert result.lo[tile] <= values.min()
                assert result.hi[tile] >= values.max()
                assert result.reach >= values.abs().max() or dtype.is_floating_point


@pytest.mark.parametrize("size", [100, 1023, 5000])
def test_one_interval_is_exact_up_to_cells(size: int) -> None:
    """Whole cells of 16, and short inputs altogether, are read exactly."""
    source = torch.randint(-999, 999, (size,), generator=torch.Generator().manual_seed(1))
    step = 16 if size > 1024 else 1
    lo = torch.arange(0, size - 64, step)
    for width in (1, 3, 16, 48):
        wide = -(-width // step) * step
        place = Bounds(lo, lo + wide - 1, size)
        result = Gather().numbers("x", source, [place])
        for tile, values in enumerate(reads(source, [place])):
            assert (result.lo[tile], result.hi[tile]) == (values.min(), values.max())


def test_unknown_where_an_element_is_nan() -> None:
    source = torch.tensor([1.0, float("nan"), 2.0, 3.0])
    lo, hi = torch.tensor([0, 2]), torch.tensor([2, 3])
    result = Gather().numbers("x", source, [Bounds(lo, hi, 3)])
    assert result.lo.isnan().tolist() == result.hi.isnan().tolist() == [True, False]


def reads(source: torch.Tensor, places: list[Bounds]) -> list[torch.Tensor]:
    """Return for each tile all elements that it may read, as the evaluation on tensors does."""
    found = []
    for tile in range(len(places[0].lo)):
        ranges = [range(int(place.lo[tile]), int(place.hi[tile]) + 1) for place in places]
        points = [
            tuple(min(max(i, 0), size - 1) for i, size in zip(at, source.shape, strict=True))
            for at in product(*ranges)
        ]
        found.append(torch.stack([source[at] for at in set(points)]))
    return found
