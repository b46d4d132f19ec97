"""Faults planted into the banded backend, and which test sees each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import test_banded
import torch

from maskc.analysis import bands
from maskc.analysis.bands import Rest
from maskc.ir.vectorize import Window
from maskc.lower import banded

RUNS, NOTHING = bands._Keys.runs.fget, banded._nothing
ALIKE = "k // 32 == q // 32 & abs(q - k) < where(q < 32, 3, 5)"


def last_gradient_alone(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
    total = grads[0].new_zeros(ctx.shape)
    for run, grad in zip(ctx.runs, grads, strict=True):
        total[:, :, run.start : run.stop] = grad
    return total, None


def by_shape_alone(self: bands._Matrix, own: Any, window: Window) -> Window:
    one = window._replace(batch=window.batch[:1], heads=window.heads[:1])
    return self.seen.setdefault((len(window.rows), len(window.keys[0])), one)


def one_key_late(self: bands._Keys) -> tuple[range, ...]:
    return tuple(range(run.start + (len(run) > 1), run.stop) for run in RUNS(self))


def many_bands(text: str, *rests: Rest) -> Callable[[], None]:
    return lambda: test_banded.test_masks_of_many_bands(text, {}, set(rests), "score")


FAULTS: list[tuple[str, Any, str, Any, Callable[[], None]]] = [
    (
        "of gradients of one key the last counts",
        banded._Slices,
        "backward",
        staticmethod(last_gradient_alone),
        many_bands("causal & window(9)", Rest.MASK),
    ),
    (
        "a band begins with its second key",
        bands._Keys,
        "runs",
        property(one_key_late),
        many_bands("causal & window(9)", Rest.MASK),
    ),
    (
        "bands of one shape have one mask",
        bands._Matrix,
        "_seen",
        by_shape_alone,
        many_bands(ALIKE, Rest.MASK),
    ),
    (
        "rows without keys are ones",
        banded,
        "_nothing",
        lambda q, k, v: banded.Attended(NOTHING(q, k, v).out + 1, None),
        many_bands("k > q + 100", Rest.NONE, Rest.MASK),
    ),
]


@pytest.mark.planted
@pytest.mark.parametrize(
    ("owner", "name", "fault", "test"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_a_fault_is_seen(
    owner: Any,
    name: str,
    fault: Any,
    test: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test()
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(AssertionError):
        test()
