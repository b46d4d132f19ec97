"""Keys that were never written: infinities and NaN where no query of the call attends."""

from typing import Any

import pytest
import torch
from torch import Tensor

import maskc

GARBAGE = [torch.nan, torch.inf, -torch.inf]
VALID = torch.tensor([[True] * 5 + [False] * 4, [True] * 7 + [False] * 2])

CASES: dict[str, dict[str, Any]] = {
    "causal & valid_keys": {"valid": VALID},
    "valid_keys; score = softcap(score, 5)": {"valid": VALID},
    "valid_keys; score = score + alibi": {"valid": VALID, "slopes": torch.tensor([0.5] * 4)},
    "valid_keys; out = out * sigmoid(lse)": {"valid": VALID},
    "causal": {},
    "k < 3 + head // 2": {},
    "causal & window(3); score = score * 2": {},
    "k % 2 == 0 & (causal | head == 0)": {},
    "score = where(k % 3 == 0, -inf, softcap(score, 5))": {},
    "(q + k) % 3 != 1 & head == 0 | causal & k > 2": {},
}


def tensors(queries: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, queries, 8, generator=generator)
    k, v = torch.randn(2, 2, 2, 9, 8, generator=generator)
    return q, k, v


def poisoned(seen: Tensor, x: Tensor, garbage: float) -> Tensor:
    some = seen.expand(2, 4, -1, -1).any(2).unflatten(1, (2, 2)).any(2)
    assert not bool(some.all())
    return torch.where(some[..., None], x, garbage)


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("backend", ["sdpa", "reference", "banded", "emitted"])
def test_they_do_not_matter(text: str, garbage: float, backend: str) -> None:
    program = maskc.compile_mask(text)
    q, k, v = tensors(6)
    bound = program.bind_to(q, k, **CASES[text])
    expected = bound(q, k, v, backend="reference")
    k, v = (poisoned(bound.dense_mask(), x, garbage) for x in (k, v))
    if backend == "emitted":
        module: dict[str, Any] = {}
        exec(program.emit("module"), module)
        found = module["attention"](q, k, v, **CASES[text])
    else:
        found = bound(q, k, v, backend=backend)
        bound(q, k, v, backend=backend)  # with what was kept
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["sdpa", "reference", "banded"])
def test_they_give_no_gradient(backend: str) -> None:
    q, k, v = (x.requires_grad_() for x in tensors(6))
    bound = maskc.compile_mask("valid_keys").bind_to(q, k, valid=VALID)
    bad = [poisoned(bound.dense_mask(), x.detach(), torch.nan).requires_grad_() for x in (k, v)]
    out = bound(q, *bad, backend=backend)
    for slope in torch.autograd.grad(out.sum(), [q, *bad]):
        assert slope.isfinite().all()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_on_flex_their_keys_do_not_matter(garbage: float) -> None:
    q, k, v = tensors(6)
    bound = maskc.compile_mask("causal & valid_keys").bind_to(q, k, valid=VALID)
    expected = bound(q, k, v, backend="reference")
    found = bound(q, poisoned(bound.dense_mask(), k, garbage), v, backend="flex", return_lse=True)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)
    assert "their values nothing infinite" in bound.explain(q, k, v)


def test_nothing_is_copied_where_all_keys_are_seen() -> None:
    q, k, v = tensors(9)
    bound = maskc.compile_mask("causal & window(3)").bind_to(q, k)
    from maskc.lower.unseen_keys import without_unseen

    assert without_unseen(bound._plan({}), k, v)[0] is k
