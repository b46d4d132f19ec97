"""Operations that a callable may use, beside those of the corpus."""

from __future__ import annotations

import pytest
import torch
from corpus.cases import Mod
from torch import nn

import maskc
from maskc.testing import matches

SIZES = {"batch_size": 1, "num_heads": 2, "q_len": 12, "kv_len": 12}
PARENT = torch.tensor([-1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5])


def is_torch_s(mod: Mod, kind: str = "mask_mod") -> maskc.Traced:
    traced = maskc.trace(**{kind: mod}, sizes=SIZES)
    assert matches(traced.program, mod, **SIZES, **traced.inputs)
    return traced


@pytest.mark.parametrize(
    "mod",
    [
        lambda b, h, q, k: (q - k).unsqueeze(0).max(0, keepdim=True).values[0] < -2,
        lambda b, h, q, k: torch.stack([q, k, h]).max(0)[0] < 3,
        lambda b, h, q, k: torch.stack([q, k, h]).min(dim=0).values < 3,
        lambda b, h, q, k: torch.stack([q < k, h == 0]).amax(0),
        lambda b, h, q, k: torch.stack([q < k, h == 0]).min(0).values,
    ],
)
def test_extremes_along_a_dimension(mod: Mod) -> None:
    is_torch_s(mod)


def test_the_places_of_extremes_are_refused() -> None:
    with pytest.raises(maskc.TraceError, match=r"M807.*places") as caught:
        maskc.trace(lambda b, h, q, k: torch.stack([q, k]).max(0).indices == 0)
    assert caught.value.span is not None


@pytest.mark.parametrize("divisor", [3, -3])
def test_division_that_truncates(divisor: int) -> None:
    is_torch_s(lambda b, h, q, k: torch.div(q - k, divisor, rounding_mode="trunc") == 1)
    is_torch_s(lambda b, h, q, k: torch.div(q - 4, k - 5.5, rounding_mode="trunc") == -1)
    is_torch_s(lambda b, h, q, k: torch.div(q - 7, 2 * k - 9, rounding_mode="trunc") == 0)
    is_torch_s(lambda s, b, h, q, k: s + torch.trunc(s) / divisor, "score_mod")


def test_what_is_no_number() -> None:
    odd = torch.tensor([0.5, torch.inf, -torch.inf, torch.nan]).repeat(3)
    is_torch_s(lambda s, b, h, q, k: torch.where(torch.isnan(s + odd[k]), 0.0, s), "score_mod")
    for test in (torch.isnan, torch.isinf, torch.isposinf, torch.isneginf, torch.isfinite):
        is_torch_s(lambda b, h, q, k, test=test: test(odd[k] + q))


def test_a_row_of_a_module_s_table() -> None:
    buckets = nn.Embedding(9, 2)
    mod = lambda s, b, h, q, k: s + buckets((k - q).clamp(-4, 4) + 4)[h]  # noqa: E731
    assert is_torch_s(mod, "score_mod").inputs.keys() == {"weight"}


def test_a_score_of_a_module_is_known_for_one() -> None:
    class Bias(nn.Module):
        def forward(self, s, b, h, q, k):
            return s + h

    is_torch_s(Bias(), "score_mod")


@pytest.mark.parametrize("steps", [3, 8])
def test_a_loop_that_doubles_its_term_becomes_a_table(steps: int) -> None:
    def is_ancestor(b, h, q, k):
        at, found = q, q == k
        for _ in range(steps):
            at = torch.where(at >= 0, PARENT[at.clamp(min=0)], -1)
            found = found | (at == k)
        return found

    traced = is_torch_s(is_ancestor)
    assert bool(traced.tables) is (steps > 3)


def test_a_loop_that_doubles_its_term_is_refused_where_no_table_can_stand_for_it() -> None:
    def mixed(b, h, q, k):
        x = q ^ k
        for _ in range(40):
            x = x * 3 + (x >> 1)
        return x > 0

    with pytest.raises(maskc.TraceError, match="M814") as caught:
        maskc.trace(mixed, sizes=SIZES)
    assert caught.value.span is not None


def test_wrapped_subscripts_of_subscripts_do_not_explode() -> None:
    def is_ancestor(b, h, q, k):
        at, found = q, q == k
        for _ in range(12):
            at = PARENT[at]
            found = found | (at == k)
        return found

    with pytest.raises(maskc.BindError, match="M417"):
        maskc.trace(is_ancestor, sizes=SIZES).bind(**SIZES)
