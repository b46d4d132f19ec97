"""Binding within ``torch.compile(fullgraph=True)`` and ``torch.export``.

A trace gives what an eager call gives, and new tensors compile nothing again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import maskc

pytestmark = pytest.mark.compiled

H, HKV, S, D = 4, 2, 16, 8
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def qkv(queries: int = S, keys: int = S, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    shapes = [(H, queries), (HKV, keys), (HKV, keys)]
    q, k, v = (torch.randn(batch, *shape, D) for shape in shapes)
    return q, k, v


class Traced:
    """A compiled function that counts its graphs."""

    def __init__(self, function: Callable[..., Tensor], dynamic: bool | None = None) -> None:
        torch._dynamo.reset()
        self.graphs = 0
        self.run = torch.compile(function, fullgraph=True, dynamic=dynamic, backend=self.count)
        self.eager = function

    def count(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward

    def agrees(self, *args: Any) -> None:
        torch.testing.assert_close(self.run(*args), self.eager(*args), **CLOSE)


RICH = "causal & same_doc; score = softcap(score + alibi, 9)"

PROGRAMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "full": lambda n: {},
    "causal & window(3); score = score * -2.0": lambda n: {},
    "input t: float; causal; score = score * t[kv_head]": lambda n: {"t": torch.rand(HKV)},
    "valid_keys; input sink: float; out = out * sigmoid(lse - sink[head])": lambda n: {
        "valid": torch.rand(1, n) < 0.8,
        "sink": torch.rand(H),
    },
    RICH: lambda n: {"doc": torch.arange(n) // 5, "slopes": torch.rand(H)},
}


@pytest.mark.parametrize("backend", ["sdpa", "banded", "reference"])
def test_calls_of_one_length_are_one_graph(backend: str) -> None:
    program = maskc.compile_mask(RICH)
    call = Traced(lambda q, k, v, given: program(q, k, v, backend=backend, **given), False)
    for _ in range(3):
        call.agrees(*qkv(), PROGRAMS[RICH](S))
    assert call.graphs == 1


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("text", PROGRAMS)
def test_calls_of_many_lengths_are_two_graphs(text: str, dynamic: bool | None) -> None:
    program = maskc.compile_mask(text)
    call = Traced(lambda q, k, v, given: program(q, k, v, **given), dynamic)
    for length in (S, 9, 21):
        call.agrees(*qkv(length, length), PROGRAMS[text](length))
    assert call.graphs <= 2


def test_a_length_is_left_open_only_where_every_length_is_right() -> None:
    """A table of 12 entries serves some lengths, and the others are refused as they are eagerly."""
    program = maskc.compile_mask("input t: float; score = score + t[abs(q - k)]")
    call = Traced(lambda q, k, v, t: program(q, k, v, t=t, backend="sdpa"), True)
    table = torch.rand(12)
    for length in (5, 7, 12):
        call.agrees(*qkv(length, length), table)
    with pytest.raises(Exception, match=r"M508|M417"):
        call.run(*qkv(13, 13), table)


def test_a_mask_may_guard_what_it_reads_at_each_length() -> None:
    program = maskc.compile_mask("input t: float; causal & window(8); score = score + t[q - k]")
    call = Traced(lambda q, k, v, t: program(q, k, v, t=t, backend="sdpa"), None)
    for length in (5, 9, 20):
        call.agrees(*qkv(length, length), torch.rand(8))


@pytest.mark.parametrize(
    ("backend", "dynamic"), [("auto", True), ("auto", False), ("banded", None), ("reference", None)]
)
def test_a_static_cache_is_one_graph(backend: str, dynamic: bool | None) -> None:
    """Ten decode steps over changing padding."""
    program = maskc.compile_mask("causal & valid_keys & window(9)")

    def step(q: Tensor, k: Tensor, v: Tensor, offset: Tensor, valid: Tensor) -> Tensor:
        return program(q, k, v, q_offset=offset, valid=valid, backend=backend)

    call = Traced(step, dynamic)
    for number in range(10):
        valid = torch.arange(S)[None] >= number // 3
        call.agrees(*qkv(1), torch.tensor(number + 4), valid)
    assert call.graphs == 1


@pytest.mark.parametrize("dynamic", [None, True])
def test_a_growing_cache_is_two_graphs(dynamic: bool | None) -> None:
    program = maskc.compile_mask("causal & window(9)")
    call = Traced(lambda q, k, v, offset: program(q, k, v, q_offset=offset), dynamic)
    for number in range(10):
        call.agrees(*qkv(1, 5 + number), torch.tensor(4 + number))
    assert call.graphs <= 2


@pytest.mark.parametrize("name", ["q_offset", "q_positions"])
@pytest.mark.parametrize("batched", [False, True])
def test_offsets_and_positions_are_tensors_of_the_graph(name: str, batched: bool) -> None:
    program = maskc.compile_mask("causal; score = score + alibi")
    slopes = torch.rand(H)
    call = Traced(lambda q, k, v, at: program(q, k, v, slopes=slopes, **{name: at}))
    shape = ((3,) if name == "q_positions" else ()) if not batched else None
    for number in range(4):
        at = torch.tensor([[0, 3, 1], [2, 5, 9]]) + number
        if name == "q_offset":
            at = at[:, 0]
        call.agrees(*qkv(3, batch=2), at if shape is None else at[0])
    assert call.graphs == 1


def test_layers_of_several_programs_are_one_graph() -> None:
    local = maskc.compile_mask("causal & window(3)")
    whole = maskc.compile_mask("causal & same_doc")

    def layers(q: Tensor, k: Tensor, v: Tensor, doc: Tensor) -> Tensor:
        return local(q, k, v) + whole(q, k, v, doc=doc) + local(q, k[:, :, :9], v[:, :, :9])

    call = Traced(layers)
    for _ in range(2):
        call.agrees(*qkv(), torch.arange(S) // 5)
    assert call.graphs == 1


@pytest.mark.parametrize("backend", ["sdpa", "banded", "reference"])
def test_gradients_reach_what_a_trace_binds(backend: str) -> None:
    program, doc = maskc.compile_mask(RICH), torch.arange(S) // 5

    def attend(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor) -> Tensor:
        bound = program.bind_to(q, k, doc=doc, slopes=slopes)
        return bound(q, k, v, backend=backend)

    torch._dynamo.reset()
    tensors = [x.requires_grad_() for x in (*qkv(), torch.rand(H))]
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(*tensors).square().sum(), tensors)
    expected = torch.autograd.grad(attend(*tensors).square().sum(), tensors)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_inputs_of_the_score_may_wait_for_the_call() -> None:
    program = maskc.compile_mask("causal; score = score + alibi")

    def attend(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor) -> Tensor:
        return program.bind_to(q, k)(q, k, v, slopes=slopes)

    call = Traced(attend)
    for _ in range(2):
        call.agrees(*qkv(), torch.rand(H))
    assert call.graphs == 1


def test_flex_runs_what_a_trace_binds() -> None:
    program = maskc.compile_mask("causal & same_doc; score = softcap(score, 5)")
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda q, k, v, doc: program(q, k, v, doc=doc, backend="flex", block_size=8),
        fullgraph=True,
        dynamic=False,
    )
    with torch.no_grad():
        for size in (3, 7):
            tensors, doc = qkv(), torch.arange(S) // size
            expected = program(*tensors, doc=doc, backend="reference")
            torch.testing.assert_close(compiled(*tensors, doc), expected, **CLOSE)


class Attention(torch.nn.Module):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.program = maskc.compile_mask(text)
        self.slopes = torch.nn.Parameter(torch.rand(H))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, doc: Tensor, offset: Tensor) -> Tensor:
        return self.program(q, k, v, doc=doc, slopes=self.slopes, kv_offset=offset)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_takes_any_length(strict: bool) -> None:
    module = Attention("causal & (same_doc | doc[q] > 1); score = score + alibi")
    length = torch.export.Dim("length", min=2, max=4096)
    of_qkv = ({2: length},) * 3
    example = (*qkv(), torch.arange(S) // 5, torch.tensor(0))
    shapes = (*of_qkv, {0: length}, None)
    exported = torch.export.export(module, example, dynamic_shapes=shapes, strict=strict)
    for n in (S, 5, 31):
        args = (*qkv(n, n), torch.arange(n) // 3, torch.tensor(0))
        torch.testing.assert_close(exported.module()(*args), module(*args), **CLOSE)


def test_what_only_values_tell_is_not_looked_at_and_never_read_outside() -> None:
    program = maskc.compile_mask("input t: float; score = score + t[q]")
    call = Traced(lambda q, k, v, t, at: program(q, k, v, t=t, q_offset=at))
    call.agrees(*qkv(), torch.rand(S + 2), torch.tensor(2))
    found = call.run(*qkv(), torch.rand(S + 2), torch.tensor(10**6))
    assert bool(found.isfinite().all())


@pytest.mark.parametrize(
    ("text", "policy", "message"),
    [
        ("input t: bool; t[min(k + q, 3)]", "zero", "only the tensors tell"),
        ("topk(float(k), 2)", "zero", "nothing tells which keys `topk` selects"),
        ("k > q", "nan", "nothing tells which rows `nan` is for"),
    ],
)
@pytest.mark.parametrize("dynamic", [None, True])
def test_what_a_trace_cannot_do_is_refused(
    text: str, policy: str, message: str, dynamic: bool | None
) -> None:
    program = maskc.compile_mask(text, empty_rows=policy)
    given = {"t": torch.ones(2, dtype=torch.bool)} if "input" in text else {}
    call = Traced(lambda q, k, v: program(q, k, v, **given), dynamic)
    with pytest.raises(Exception, match=message):
        call.run(*qkv())


def test_a_row_of_keys_for_sure_needs_no_policy() -> None:
    program = maskc.compile_mask("causal", empty_rows="error")
    call = Traced(lambda q, k, v: program(q, k, v))
    call.agrees(*qkv())
