"""Bands in training code: compiled as constants, checkpointed, under autocast and inference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

from maskc import Bound, compile_mask

LENGTH = 700
DOCS = "causal & same_doc"
PROGRAMS = [
    DOCS,
    f"{DOCS}; score = softcap(score, 3)",
    "causal & window(40); score = score - 0.1 * (q - k)",
    "causal & window(40); out = out * sigmoid(lse)",
]


def qkv() -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = [(1, heads, LENGTH, 8) for heads in (4, 2, 2)]
    return [torch.randn(shape, generator=random).requires_grad_() for shape in shapes]


def bound(text: str, length: int = 130) -> Bound:
    given = {"doc": torch.arange(LENGTH) // length} if "doc" in text else {}
    return compile_mask(text).bind(q_len=LENGTH, num_heads=4, num_kv_heads=2, **given)


def attend(bound: Bound, q: Tensor, k: Tensor, v: Tensor, backend: str = "banded") -> Any:
    return bound(q, k, v, backend=backend)


def gradients(run: Any, bound: Bound, **options: Any) -> list[Tensor]:
    leaves = qkv()
    out = run(bound, *leaves, **options)
    return [out, *torch.autograd.grad(out.float().square().sum(), leaves)]


def assert_near(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=tolerance, atol=tolerance)


@pytest.mark.compiled
@pytest.mark.parametrize("text", PROGRAMS)
def test_a_graph_serves_all_bindings_with_the_same_bands(text: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    graphs = []
    for length in (130, 130, 90, 130):
        binding, before = bound(text, length), counters["stats"]["unique_graphs"]
        binding.bands()
        assert_near(gradients(compiled, binding), gradients(attend, binding, backend="reference"))
        graphs.append(counters["stats"]["unique_graphs"] - before)
    assert graphs == [1, 0, int("doc" in text), 0]


def test_a_trace_without_bands_says_how_to_make_them() -> None:
    compiled = torch.compile(attend, fullgraph=True, backend="eager")
    with pytest.raises(Exception, match=r"M517(.|\n)*bound.bands"):
        compiled(bound(DOCS), *qkv())


def test_auto_takes_bands_in_a_trace_only_where_no_tensor_can_change_them() -> None:
    chosen = []

    def choose(binding: Bound, x: Tensor) -> Tensor:
        chosen.append(binding.choice(x, x[:, :2], x[:, :2]).backend)
        return x

    x = torch.zeros(1, 4, 1, 8).expand(1, 4, 2048, 8)
    doc = torch.arange(2048) // 300
    sizes = {"q_len": 2048, "num_heads": 4, "num_kv_heads": 2}
    for text, given in ((DOCS, {"doc": doc}), ("causal & window(40)", {})):
        binding = compile_mask(text).bind(**sizes, **given)
        binding.bands()
        choose(binding, x)
        torch.compile(choose, fullgraph=False, backend="eager")(binding, x)
    assert chosen == ["banded", "sdpa", "banded", "banded"]


@pytest.mark.parametrize("text", PROGRAMS)
def test_checkpointing_autocast_and_inference(text: str) -> None:
    binding = bound(text)
    truth = gradients(attend, binding, backend="reference")
    again = gradients(lambda *args: checkpoint(attend, *args, use_reentrant=False), binding)
    assert_near(again, truth)
    with torch.autocast("cpu", torch.bfloat16):
        half = gradients(attend, binding)
    assert_near(half, truth, 0.1)
    with torch.inference_mode():
        assert_near([attend(binding, *qkv())], truth[:1])
    assert_near([attend(bound(text), *qkv())], truth[:1])
