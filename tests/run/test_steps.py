"""A step of a decode loop, told from the last by numbers, is what binding anew gives."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from _pytest.outcomes import Failed
from hypothesis import event, given, settings
from hypothesis import strategies as st
from profiles import examples
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from maskc import BindError, compile_mask
from maskc.lower.one_query import attend
from maskc.run import step_tables, steps
from maskc.run.bound import Bound

LENGTH = 40
DOC = torch.arange(LENGTH) // 11
VALID = torch.ones(2, LENGTH, dtype=torch.bool)
VALID[0, :3] = VALID[1, 5:7] = False
BLOCKS = torch.arange(30).view(5, 6) % 3
TEXTS: dict[str, dict[str, Any]] = {
    "full": {},
    "causal": {},
    "causal & window(7)": {},
    "causal_lower_right & window(9)": {},
    "causal & chunked(16)": {},
    "causal & (window(5) | sinks(2))": {},
    "causal & !window(3)": {},
    "causal & dilated(9, 2)": {},
    "causal & same_doc": {"doc": DOC},
    "causal & doc[q] <= doc[k]; input doc: int": {"doc": torch.stack([DOC, DOC.flip(0)])},
    "valid_keys & causal": {"valid": VALID},
    "causal & prefix": {"prefix_len": torch.tensor([3, 9])},
    "k < n + q; input n: int": {"n": torch.tensor(2)},
    "causal & (head < 1 | window(4))": {},
    "input t: int; t[head, k] > 0 & causal": {"t": torch.arange(4 * LENGTH).view(4, -1) % 4},
    "input blocks: int; blocks[q // 8, k // 8] > 0": {"blocks": BLOCKS},
}
ANEW = {"k < n + q; input n: int"}
"""Those whose ints are as large as a tensor says, which is looked into at each step."""
SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2}


def qkv(kv_len: int) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(kv_len)
    q = torch.randn(2, 4, 1, 8, generator=random)
    k, v = torch.randn(2, 2, 2, kv_len, 8, generator=random)
    return q, k, v


def spoiled(x: Tensor, mask: Tensor) -> Tensor:
    """Return keys or values with NaN and infinity where no query of a key head attends."""
    seen = mask.expand(2, 4, 1, -1).reshape(2, 2, 2, -1).any(2)[..., None]
    return torch.where(seen, x, torch.tensor([torch.nan, torch.inf] * 4))


def assert_step(bound: Bound, anew: Bound, kv_len: int) -> None:
    q, k, v = qkv(kv_len)
    mask = anew.dense_mask()
    expected = anew(q, k, v, backend="reference")
    torch.testing.assert_close(bound(q, k, v), expected)
    torch.testing.assert_close(bound(q, spoiled(k, mask), spoiled(v, mask)), expected)
    assert torch.equal(bound.dense_mask(), mask)
    assert bound._current.mask_here == anew._current.mask_here
    assert bound.spec.numbers == anew.spec.numbers
    assert bound.explain() == anew.explain()


def longer(name: str, tensor: Tensor) -> Tensor:
    """Return another tensor for a longer sequence; of batches there are as many as before."""
    if name in ("prefix_len", "n"):
        return tensor.clone()
    return torch.cat([tensor, tensor[..., -1:]], -1)


@settings(max_examples=examples(80))
@given(st.data(), st.sampled_from(sorted(TEXTS)))
@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
def test_a_step_is_what_binding_anew_gives(data: st.DataObject, text: str) -> None:
    inputs = {name: tensor.clone() for name, tensor in TEXTS[text].items()}
    program = compile_mask(text)
    bound = program.bind(q_len=1, kv_len=2, q_offset=1, **SIZES, **inputs)
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(1, LENGTH - 1))
        step = {"kv_len": data.draw(st.integers(1, LENGTH)), "q_offset": offset}
        if data.draw(st.booleans()):
            inputs = {name: longer(name, tensor) for name, tensor in inputs.items()}
            bound = bound.at(**step, **inputs)
        else:
            bound = bound.at(**step)
        event("told by numbers" if bound._known is None else "anew")
        assert_step(bound, program.bind(q_len=1, **step, **SIZES, **inputs), step["kv_len"])
        for tensor in inputs.values():
            place = data.draw(st.integers(0, tensor.numel() - 1))
            tensor.view(-1)[place] = 1 - tensor.view(-1)[place].long()
        assert_step(bound, program.bind(q_len=1, **step, **SIZES, **inputs), step["kv_len"])


@pytest.mark.parametrize("text", sorted(TEXTS.keys() - ANEW))
@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
def test_nothing_is_bound_for_a_step(text: str) -> None:
    bound = compile_mask(text).bind(q_len=1, kv_len=20, q_offset=19, **SIZES, **TEXTS[text])
    expected = compile_mask(text).bind(q_len=1, kv_len=21, q_offset=20, **SIZES, **TEXTS[text])
    step = bound.at(kv_len=21, q_offset=20)
    tensors = qkv(21)
    torch.testing.assert_close(step(*tensors), expected(*tensors))
    assert step._known is step._spec is None


@pytest.mark.compiled
@pytest.mark.parametrize("text", ["causal", "causal & window(7)", "causal & same_doc"])
def test_steps_are_two_graphs(text: str) -> None:
    torch._dynamo.reset()
    count = CompileCounter()
    attend: Any = torch.compile(lambda bound, *qkv: bound(*qkv), backend=count, fullgraph=True)
    bound = compile_mask(text).bind(q_len=1, kv_len=10, q_offset=9, **SIZES, **TEXTS[text])
    for keys in range(11, 18):
        bound = bound.at(kv_len=keys, q_offset=keys - 1)
        tensors = qkv(keys)
        torch.testing.assert_close(attend(bound, *tensors), bound(*tensors, backend="reference"))
        bound = bound.at(kv_len=keys) if keys % 2 else bound
    assert count.frame_count <= 2


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"q_offset": LENGTH}, "`doc` has 40 entries where `same_doc` reads up to 40"),
        ({"doc": DOC.float()}, "input `doc` takes ints, found torch.float32"),
        ({"doc": DOC.view(2, 2, -1)}, "input `doc` has 3 dimensions"),
        ({"doc": torch.stack([DOC] * 3)}, "input `doc` has a batch of 3"),
        ({"kv_len": 0}, "`kv_len` is at least 1"),
        ({"kv_len": True}, "`kv_len` is an int"),
        ({"q_offset": 2.0}, "`q_offset` holds ints"),
    ],
)
def test_a_bad_step_is_refused_as_a_bad_call_is(step: dict[str, Any], message: str) -> None:
    program = compile_mask("causal & same_doc")
    bound = program.bind(q_len=1, kv_len=20, q_offset=19, **SIZES, doc=DOC).at(kv_len=21)
    with pytest.raises(BindError, match=message):
        bound.at(**step)


def test_a_read_that_the_mask_guards_is_none() -> None:
    at = {"q_len": 1, "kv_len": LENGTH + 1, "q_offset": 19, **SIZES, "doc": DOC}
    program = compile_mask("causal & same_doc")
    bound = program.bind(q_len=1, kv_len=20, q_offset=19, **SIZES, doc=DOC)
    assert_step(bound.at(kv_len=LENGTH + 1), program.bind(**at), LENGTH + 1)


def test_ints_that_leave_32_bits_are_refused() -> None:
    bound = compile_mask("k < q * q").bind(q_len=1, kv_len=9, q_offset=8).at(kv_len=10)
    with pytest.raises(BindError, match="may leave 32 bits"):
        bound.at(q_offset=46341)


def test_wrong_tensors_are_refused() -> None:
    bound = compile_mask("causal").bind(q_len=1, kv_len=9, q_offset=8, **SIZES).at(kv_len=10)
    q, k, v = qkv(10)
    for tensors, message in [
        ((q, k[:, :, :9], v), "k has shape"),
        ((q, k, v[..., :0]), "a width of at least 1"),
        ((q.double(), k, v), "one dtype"),
        ((q[:1], k, v), "q has shape"),
    ]:
        with pytest.raises(BindError, match=message):
            bound(*tensors)
    with pytest.raises(BindError, match="a finite number"):
        bound(q, k, v, scale=float("nan"))


def test_a_tensor_that_is_changed_in_place_is_seen() -> None:
    doc = DOC.clone()
    program = compile_mask("causal & same_doc")
    bound = program.bind(q_len=1, kv_len=20, q_offset=19, **SIZES, doc=doc).at(kv_len=21)
    doc[10:20] = 7
    assert_step(bound, program.bind(q_len=1, kv_len=21, q_offset=19, **SIZES, doc=doc), 21)


def test_a_backward_pass_has_the_mask_of_its_call() -> None:
    valid = VALID.clone()
    at = {"q_len": 1, "kv_len": 20, "q_offset": 19, **SIZES, "valid": valid}
    bound = compile_mask("valid_keys & causal").bind(**at).at(kv_len=20)
    q, k, v = (x.requires_grad_() for x in qkv(20))
    (expected,) = torch.autograd.grad(bound(q, k, v, backend="reference").sum(), v)
    out = bound(q, k, v)
    valid[:] = ~valid
    (found,) = torch.autograd.grad(out.sum(), v)
    torch.testing.assert_close(found, expected)


def test_hidden_keys_may_hold_anything() -> None:
    for text in ("valid_keys & causal", "causal & (head < 1 | window(4))"):
        program = compile_mask(text)
        at = {"q_len": 1, "kv_len": 20, "q_offset": 19, **SIZES, **TEXTS[text]}
        assert_step(program.bind(**at).at(kv_len=20), program.bind(**at), 20)


FAULTS: list[tuple[str, Any, str, Any, Any]] = [
    (
        "tensors never change",
        steps.Step,
        "is_fresh",
        property(lambda self: True),
        test_a_tensor_that_is_changed_in_place_is_seen,
    ),
    (
        "no subscript leaves its input",
        step_tables.Read,
        "is_inside",
        lambda self, row, offsets: True,
        lambda: test_a_bad_step_is_refused_as_a_bad_call_is({"q_offset": LENGTH}, "reads up to"),
    ),
    (
        "any tensor takes the place of another",
        step_tables.Table,
        "is_like",
        lambda self, other, fixed: True,
        lambda: test_a_bad_step_is_refused_as_a_bad_call_is({"doc": DOC.float()}, "takes ints"),
    ),
    (
        "every int fits",
        steps.Loop,
        "_ints_fit",
        lambda self, row, offsets: True,
        test_ints_that_leave_32_bits_are_refused,
    ),
    (
        "all keys are finite",
        attend,
        "hold_finite",
        lambda hidden, k, v: True,
        test_hidden_keys_may_hold_anything,
    ),
    (
        "heads in another order",
        attend,
        "_by_key_head",
        lambda x, heads: x if x is None or x.shape[1] == 1 else x.flip(1).view(2, 2, 2, -1),
        test_hidden_keys_may_hold_anything,
    ),
    (
        "any tensors are those of the call",
        steps.Step,
        "takes",
        lambda self, q, k, v, scale: True,
        test_wrong_tensors_are_refused,
    ),
]


@pytest.mark.planted
@pytest.mark.parametrize(
    ("where", "name", "fault", "test"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0] for fault in FAULTS],
)
def test_planted_faults_are_seen(where: Any, name: str, fault: Any, test: Any) -> None:
    errors = (AssertionError, Failed, IndexError, RuntimeError)
    with mock.patch.object(where, name, fault), pytest.raises(errors):
        test()
