"""Every backend gives what the formula gives: outputs, log-sum-exps and gradients."""

import math
from typing import Any
from unittest import mock

import pytest
import torch
from environments import Case, environments
from formula import QKV, attended, qkv_of
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import Words, modules
from torch import Tensor
from torch.nn.attention import flex_attention

from maskc import LoweringError, Program, compile_mask
from maskc.ir.nodes import OUT, Module
from maskc.ir.text import to_text
from maskc.passes.program.mask_infinities import mask_infinities_at_every_pair
from maskc.passes.support.driver import simplify

SCALE = 0.4
BACKENDS = ("reference", "sdpa", "flex")


def keywords(case: Case) -> dict[str, Any]:
    positions = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    return {
        **case.inputs,
        **{name: table for name, table in positions.items() if table is not None},
    }


def program_of(module: Module, empty_rows: str = "zero") -> Program:
    """Compile a drawn module; one whose scores hide keys has no rows that a policy could see."""
    try:
        return compile_mask(to_text(module), empty_rows=empty_rows)
    except LoweringError:
        reject()


def doubled(case: Case) -> dict[str, Any]:
    """Return the inputs of a case, floats in float64."""
    return {name: _double(value) for name, value in keywords(case).items()}


def _double(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_double, value))
    return value.double() if value.is_floating_point() else value


@settings(max_examples=examples(60))
@given(
    data=st.data(),
    module=modules(depth=2),
    empty_rows=st.sampled_from(["zero", "all", "nan"]),
)
def test_the_reference_is_the_formula(data: st.DataObject, module: Module, empty_rows: str) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    qkv = qkv_of(case)
    program = program_of(module, empty_rows)
    out, lse = program(*qkv, backend="reference", scale=SCALE, return_lse=True, **doubled(case))
    # A choice of -inf by a score is a mask too, and counts for the policy.
    laws = (mask_infinities_at_every_pair,)
    meant = module if empty_rows == "zero" else simplify(module, laws=laws).module
    expected, expected_lse = attended(meant, case, qkv, SCALE, empty_rows)
    torch.testing.assert_close(out, expected, rtol=2e-4, atol=2e-4, equal_nan=True)
    torch.testing.assert_close(lse, expected_lse, rtol=2e-4, atol=2e-4)


def floats_of(inputs: dict[str, Any]) -> tuple[str, ...]:
    found = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    return tuple(name for name, value in found.items() if value.is_floating_point())


def outputs(
    program: Program,
    qkv: QKV,
    inputs: dict[str, Any],
    backend: str,
    trained: tuple[str, ...] | None = None,
) -> dict[str, Tensor]:
    """Return the output and the gradients of q, k, v and of inputs, by default all floats."""
    leaves = {n: x.clone().requires_grad_() for n, x in zip("qkv", qkv, strict=True)}
    names = floats_of(inputs) if trained is None else trained
    tables = {name: inputs[name].clone().requires_grad_() for name in names}
    out = program(**leaves, backend=backend, scale=SCALE, **{**inputs, **tables})
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = leaves | tables
    loss = (out * weight.to(out)).sum()
    slopes = torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)
    return {"out": out.detach(), **dict(zip(wanted, slopes, strict=True))}


def assert_near(found: dict[str, Tensor], truth: dict[str, Tensor], tolerance: float) -> None:
    for name, expected in truth.items():
        rounding = torch.finfo(found[name].dtype).eps
        limit = (tolerance + rounding) * (1 + expected.abs().max().item())
        torch.testing.assert_close(found[name].double(), expected, rtol=0, atol=limit, msg=name)


@settings(max_examples=examples(80))
@given(data=st.data(), module=modules(depth=2), empty_rows=st.sampled_from(["zero", "all"]))
def test_sdpa_is_the_reference(data: st.DataObject, module: Module, empty_rows: str) -> None:
    case: Case = data.draw(environments(module, positions=True))
    program = program_of(module, empty_rows)
    truth = outputs(program, qkv_of(case), doubled(case), "reference")
    assert all(value.isfinite().all() for value in truth.values())
    exact = outputs(program, qkv_of(case), doubled(case), "sdpa")
    assert_near(exact, truth, 1e-5)  # floats of ints are in torch's default dtype
    single = outputs(program, qkv_of(case, dtype=torch.float32), keywords(case), "sdpa")
    assert_near(single, truth, 1e-4)


@settings(max_examples=examples(15))
@given(
    data=st.data(),
    module=modules(depth=1, words=Words(axes=())),
    empty_rows=st.sampled_from(["zero", "all", "nan"]),
)
def test_eager_flex_is_the_reference(data: st.DataObject, module: Module, empty_rows: str) -> None:
    case: Case = data.draw(environments(module, positions=True))
    program, qkv = program_of(module, empty_rows), qkv_of(case)
    with torch.no_grad():
        truth, lse = program(*qkv, backend="reference", return_lse=True, **doubled(case))
        out, found = program(*qkv, backend="flex", return_lse=True, **doubled(case))
    torch.testing.assert_close(out, truth, rtol=1e-4, atol=1e-4, equal_nan=True)
    torch.testing.assert_close(found.double(), lse.double(), rtol=1e-4, atol=1e-4)


NOT_FINITE = [
    "k < q; score = score + log(float(q - k))",
    "k < q; score = score / (q - k)",
    "k < q; score = score * rsqrt(float(q - k))",
    "k < q; score = score + sqrt(float(q - k - 1))",
    "causal; score = score + exp(100.0 * (k - q))",
    "causal; score = score * exp(10.0 * (k - q))",
    "causal; score = exp(score + 60.0 * int(k > q))",
    "input gate: float; valid_keys & causal; score = score + log(gate[k])",
    "input gate: float; valid_keys; score = score / gate[k]",
    "input gate: float; valid_keys; score = score * log(gate[k])",
    "input gate: float; valid_keys; score = softcap(score / gate[k], 3)",
    "score = where(causal, score + log(float(q - k + 1)), -inf)",
    "score = where(q == k, score, score - inf)",
    "score = score + where(causal, 0.0, -inf)",
    "input gate: float; score = where(causal, score, -inf) * gate[head]",
    "input gate: float; score = score + log(gate[k])",
    "input gate: float; k < q; score = score / gate[q]",
]


@pytest.mark.parametrize("text", NOT_FINITE)
@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_masked_scores_that_are_not_finite(text: str, backend: str) -> None:
    program, case = compile_mask(text), Case(2, 4, 2, 7, 7)
    valid = torch.arange(7) != 3
    gate = torch.where(valid, 0.5, 0.0)
    gate = torch.tensor([0.5, 2, 1, 4]) if "gate[head]" in text else gate
    gate = gate.roll(-3) if "gate[q]" in text else gate
    given = {"gate": gate, "valid": valid}
    inputs = {name: given[name] for name in given if name in {x.name for x in program.inputs}}
    found = outputs(program, qkv_of(case, dtype=torch.float32), inputs, backend)
    for name, value in found.items():
        assert value.isfinite().all(), name
    double = {name: _double(value) for name, value in inputs.items()}
    assert_near(found, outputs(program, qkv_of(case), double, "reference"), 1e-4)


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
@pytest.mark.parametrize("score", ["score + log(gate[k])", "softcap(score * log(gate[k]), 3)"])
def test_keys_that_are_never_seen_do_not_touch_the_gradient(backend: str, score: str) -> None:
    program = compile_mask(f"input gate: float; valid_keys & causal; score = {score}")
    case, seen = Case(1, 2, 2, 7, 7), torch.arange(7) != 3
    gate = torch.tensor([0.5, 1.5, 2, 0, 3, 1, 0.2]).double()
    whole = outputs(program, qkv_of(case), {"gate": gate, "valid": seen}, backend)
    q, k, v = qkv_of(case)
    rest = {"gate": gate[seen], "valid": torch.ones(6).bool(), "kv_positions": torch.arange(6)}
    text = f"input gate: float; valid_keys & k <= q - int(q > 2); score = {score}"
    less = outputs(compile_mask(text), (q, k[:, :, seen], v[:, :, seen]), rest, backend, ("gate",))
    assert whole["gate"][3] == 0
    torch.testing.assert_close(whole["gate"][seen], less["gate"])
    torch.testing.assert_close(whole["k"][:, :, seen], less["k"])


DOCS = {"doc": torch.arange(192).view(2, 96) // 37}
PREFIX = {"prefix_len": torch.tensor([3, 9])}
RELATIVE = {"t": torch.linspace(-1, 1, 66).view(2, 33)}
COMPILED: list[tuple[str, Case, dict[str, Any]]] = [
    ("causal & same_doc", Case(2, 4, 2, 96, 96, DOCS), {}),
    (
        "causal_lower_right; score = softcap(score, 5)",
        Case(1, 3, 1, 7, 40),
        {"block_size": 16},
    ),
    (
        "causal; score = score + alibi",
        Case(1, 2, 2, 9, 33, {"slopes": torch.tensor([0.5, 0.25])}),
        {"q_offset": 24},
    ),
    ("(q + k) % 3 == 0 | q < 2", Case(2, 2, 1, 50, 24), {"block_size": (32, 16)}),
    (
        "where(q_len < 9, q < k, k < q); score = where(q_len < 9, 0, score)",
        Case(1, 1, 1, 12, 20),
        {},
    ),
    ("prefix | causal; score = score * log(kv_len)", Case(2, 2, 2, 17, 17, PREFIX), {}),
    (
        "input t: float; score = score + t[head, q - k + 16]",
        Case(1, 2, 1, 17, 17, RELATIVE),
        {},
    ),
    (
        "input n: float; q_len < 5; score = 0.0 * tanh(score) + n",
        Case(1, 1, 1, 5, 21, {"n": torch.tensor(0.5)}),
        {},
    ),
]


def test_compiled_flex_compiles_and_agrees() -> None:
    """One program for each run of the tests; the others are marked, and take seconds each."""
    text, case, options = COMPILED[0]
    assert_compiled_agrees(text, case, options)


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("text", "case", "options"), COMPILED[1:], ids=[text for text, *_ in COMPILED[1:]]
)
def test_compiled_flex_is_the_reference(text: str, case: Case, options: dict[str, Any]) -> None:
    assert_compiled_agrees(text, case, options)


def assert_compiled_agrees(text: str, case: Case, options: dict[str, Any]) -> None:
    program, qkv = compile_mask(text), qkv_of(case, 16, dtype=torch.float32)
    truth = program(*qkv, backend="reference", **case.inputs, **options)
    with torch.no_grad():
        out = program(*qkv, backend="flex", **case.inputs, **options)
    torch.testing.assert_close(out, truth, rtol=1e-4, atol=1e-4)


@pytest.mark.compiled
def test_compiled_flex_keeps_the_policy_of_empty_rows() -> None:
    program = compile_mask("k > q + 20", empty_rows="nan")
    qkv = qkv_of(Case(1, 2, 2, 40, 24), 16, dtype=torch.float32)
    truth = program(*qkv, backend="reference")
    out = program(*qkv, backend="flex")
    torch.testing.assert_close(out, truth, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert bool(truth[:, :, 3:].isnan().all())


@pytest.mark.compiled
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_compiled_flex_with_tables_of_64_bits(dtype: torch.dtype, tolerance: float) -> None:
    """torch's CPU kernel gives garbage for a score of 64 bits beside queries of fewer."""
    text = "input t: float; t[k] < 1.5 | k <= q; score = score + t[k] ** 2 * log(2 + k)"
    qkv, t = torch.randn(3, 1, 1, 33, 16).to(dtype), torch.randn(33, dtype=torch.float64)
    program = compile_mask(text)
    found = program(*qkv, backend="flex", block_size=16, t=t).double()
    expected = program(*qkv.double(), backend="reference", t=t)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "change", ["clamp(score, -1, 1)", "max(score, -0.5)", "1.0 * int(4 * score)"]
)
def test_compiled_flex_clamps_halves(change: str) -> None:
    """torch's CPU kernel clamps a score of bfloat16 to other numbers."""
    program, qkv = compile_mask(f"score = {change}"), torch.randn(3, 1, 1, 32, 32).bfloat16()
    found = program(*qkv, backend="flex", block_size=16).float()
    expected = program(*qkv.float(), backend="reference")
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)


@pytest.mark.compiled
def test_compiled_flex_of_narrow_heads() -> None:
    """torch's CPU kernel writes past a buffer at this width unless it is padded."""
    program = compile_mask("causal")
    qkv = qkv_of(Case(1, 2, 2, 24, 24), 16, dtype=torch.float32)
    out = program(*qkv, backend="flex")
    torch.testing.assert_close(out, program(*qkv, backend="reference"), rtol=1e-4, atol=1e-4)


@pytest.mark.compiled
def test_compiled_flex_in_half_precision() -> None:
    program, case = compile_mask("causal; score = softcap(score, 5)"), Case(1, 2, 1, 40, 40)
    qkv = qkv_of(case, 32, dtype=torch.bfloat16)
    out = program(*qkv, backend="flex")
    truth = program(*(x.double() for x in qkv), backend="reference")
    assert out.dtype is torch.bfloat16
    torch.testing.assert_close(out.double(), truth, rtol=0, atol=2e-2)


SINK = "input sink: float; causal; out = out * sigmoid(lse - sink[head])"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_epilogue_that_reads_lse(backend: str) -> None:
    """A sink is one more key of score ``sink`` and value 0 (gpt-oss)."""
    case, sink = Case(1, 4, 2, 6, 6), torch.tensor([0.5, -1.0, 2.0, 0.0])
    q, k, v = qkv_of(case, dtype=torch.float32)
    out = compile_mask(SINK)(q, k, v, sink=sink, backend=backend)
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k.repeat_interleave(2, 1)) / 2
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
    scores = torch.cat([scores, sink.view(1, 4, 1, 1).expand(1, 4, 6, 1)], -1)
    expected = scores.softmax(-1)[..., :-1] @ v.repeat_interleave(2, 1)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_sum_exp(backend: str, dtype: torch.dtype) -> None:
    case = Case(2, 4, 2, 5, 3)
    q, k, v = qkv_of(case, dtype=dtype)
    _, lse = compile_mask("k > q")(q, k, v, backend=backend, return_lse=True)
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k.repeat_interleave(2, 1)) / 2
    expected = scores.masked_fill(~torch.ones(5, 3).triu(1).bool(), -math.inf).logsumexp(-1)
    torch.testing.assert_close(lse.to(dtype), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=examples(30))
@given(data=st.data(), module=modules(depth=2))
def test_weights_are_what_multiplies_v(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module))
    program, (q, k, v) = program_of(Module(module.mask, module.score, OUT)), qkv_of(case)
    inputs = {n: x for n, x in doubled(case).items() if n in {i.name for i in program.inputs}}
    bound = program.bind(**case.sizes, **inputs)
    weights, scores = bound.weights(q, k), bound.scores(q, k)
    out = program(q, k, v, backend="reference", **inputs)
    group = case.num_heads // case.num_kv_heads
    torch.testing.assert_close(weights @ v.repeat_interleave(group, 1), out)
    total = weights.sum(-1)
    assert ((total - 1).abs().lt(1e-9) | total.eq(0)).all()
    torch.testing.assert_close(scores.softmax(-1).nan_to_num(0.0), weights)
    assert scores.masked_select(~bound.dense_mask()).eq(-math.inf).all()


def test_weights_of_nan_rows() -> None:
    program = compile_mask("k > q", empty_rows="nan")
    q, k, _ = qkv_of(Case(1, 1, 1, 4, 4))
    weights = program.bind(q_len=4).weights(q, k)
    assert weights[:, :, 3].isnan().all()
    assert not weights[:, :, :3].isnan().any()


@pytest.mark.parametrize("backend", ["flex", "reference"])
def test_dropout_is_refused(backend: str) -> None:
    qkv = qkv_of(Case(1, 1, 1, 4, 4), dtype=torch.float32)
    with pytest.raises(LoweringError, match="M506"):
        compile_mask("causal")(*qkv, dropout_p=0.5, backend=backend)


@pytest.mark.parametrize("backend", ["sdpa", "auto"])
def test_dropout_runs_on_sdpa(backend: str) -> None:
    qkv = qkv_of(Case(1, 1, 1, 64, 64), dtype=torch.float32)
    with mock.patch.object(torch.nn.functional, "scaled_dot_product_attention") as spy:
        compile_mask("causal")(*qkv, dropout_p=0.5, backend=backend)
    assert spy.call_args.kwargs["dropout_p"] == 0.5


def test_a_gradient_is_refused_by_flex_on_the_cpu() -> None:
    q, k, v = qkv_of(Case(1, 1, 1, 4, 4), dtype=torch.float32)
    with pytest.raises(LoweringError, match="M502"):
        compile_mask("causal")(q.requires_grad_(), k, v, backend="flex")


def test_eager_flex_gives_the_gradients() -> None:
    """torch has a CPU backward for the eager math, behind a check of the device."""
    if not hasattr(flex_attention, "_validate_device"):
        pytest.skip("this torch has no check of the device to lift")
    program, case = compile_mask("causal; score = softcap(score, 2)"), Case(1, 2, 1, 5, 7)
    bound = program.bind(**case.sizes)
    q, k, v = (x.requires_grad_() for x in qkv_of(case))
    with mock.patch.object(flex_attention, "_validate_device"):
        out = flex_attention.flex_attention(q, k, v, scale=SCALE, **bound.flex_args())
    truth = bound(q, k, v, backend="reference", scale=SCALE)
    found, expected = (torch.autograd.grad(o.square().sum(), (q, k, v)) for o in (out, truth))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
