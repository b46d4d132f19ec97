"""A comparison finds what is wrong, says where, and lets nothing else pass."""

from typing import Any

import pytest
import torch
from environments import Case, environments
from formula import qkv_of
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules

from maskc import BindError, Program, compile_mask
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.testing import (
    TOLERANCES,
    Place,
    Report,
    Result,
    assert_equivalent,
    diff,
    random_inputs,
    random_qkv,
)

SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 7, "kv_len": 11}
DENSE = ("sdpa", "reference")
TEXT = "causal & same_doc; score = softcap(score, 5) + alibi"


def call(text: str, dtype: str = "float32") -> tuple[Program, tuple[torch.Tensor, ...], Any]:
    program, generator = compile_mask(text), torch.Generator().manual_seed(0)
    inputs = random_inputs(program, SIZES, generator)
    return program, random_qkv(SIZES, 8, dtype, generator), inputs


class Broken:
    """A program whose sdpa backend spoils one element of the output, or one gradient."""

    def __init__(self, program: Program, error: float, gradient: float = 1.0) -> None:
        self.program = program
        self._error = error
        self._gradient = gradient

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)

    def __call__(self, q: torch.Tensor, *rest: Any, backend: str, **keywords: Any) -> torch.Tensor:
        if backend != "sdpa":
            return self.program(q, *rest, backend=backend, **keywords)
        scaled = q.detach() + (q - q.detach()) * self._gradient
        out = self.program(scaled, *rest, backend=backend, **keywords)
        spoiled = torch.zeros_like(out)
        spoiled[1, 2, 5, 3] = self._error
        return out + spoiled


def test_the_backends_agree() -> None:
    program, qkv, inputs = call(TEXT)
    report = diff(program, *qkv, backends=DENSE, **inputs)
    assert [result.backend for result in report.results] == list(DENSE)
    for result in report.results:
        assert 0 < result.largest < 1e-5
        assert set(result.gradients) == {"q", "k", "v", "slopes"}
        assert result.refused is None
    assert report.misses() == []


def test_the_worst_place_is_named() -> None:
    program, qkv, inputs = call(TEXT)
    report = diff(Broken(program, 0.25), *qkv, backends=DENSE, **inputs)
    assert report.worst.backend == "sdpa"
    place = report["sdpa"].worst
    assert (place.batch, place.head, place.q) == (1, 2, 5)
    assert report["sdpa"].max_error == pytest.approx(0.25, abs=1e-5)
    assert report["reference"].largest < 1e-5
    assert "sdpa: worst at batch 1, head 2, q 5, k " in str(report)


@pytest.mark.parametrize("error", [0.25, float("nan"), float("inf"), -float("inf")])
def test_a_wrong_output_fails(error: float) -> None:
    program, qkv, inputs = call(TEXT)
    with pytest.raises(AssertionError, match="sdpa is off by"):
        assert_equivalent(Broken(program, error), *qkv, backends=DENSE, **inputs)


def test_a_wrong_gradient_fails() -> None:
    program, qkv, inputs = call(TEXT)
    broken = Broken(program, 0.0, gradient=1.5)
    with pytest.raises(AssertionError, match="sdpa is off by"):
        assert_equivalent(broken, *qkv, backends=DENSE, **inputs)
    assert_equivalent(broken, *qkv, backends=DENSE, gradients=False, **inputs)


def test_gradients_of_every_float_that_the_score_reads() -> None:
    text = """
        input t: int; input seen: bool; input level: float; input bias: float; input gate: float
        t[k] > 0 & seen[k] & level[k] > -9
        score = score + bias[q] * t[q] + bias[k]; out = out * gate[head]
    """
    program, qkv, inputs = call(text)
    inputs["bias"] = torch.randn(7), torch.randn(11)
    inputs["gate"].requires_grad_()
    report = assert_equivalent(program, *qkv, backends=DENSE, **inputs)
    names = {"q", "k", "v", "bias[q]", "bias[k]", "gate"}
    assert set(report["sdpa"].gradients) == set(report.plain.gradients) == names
    assert inputs["gate"].grad is None
    assert not inputs["bias"][0].requires_grad


def test_a_wrong_gradient_of_an_input_fails() -> None:
    program, qkv, inputs = call("score = score + bias[head, q, k]; input bias: float")

    class Halved(Broken):
        def __call__(self, *rest: Any, backend: str, bias: torch.Tensor, **others: Any) -> Any:
            used = bias.detach() + (bias - bias.detach()) / 2 if backend == "sdpa" else bias
            return self.program(*rest, backend=backend, bias=used, **others)

    with pytest.raises(AssertionError) as caught:
        assert_equivalent(Halved(program, 0.0), *qkv, backends=DENSE, **inputs)
    first, blank = str(caught.value).splitlines()[:2]
    assert first.startswith("sdpa is off by ")
    assert ", in the gradient of bias at [" in first
    assert blank == ""


@pytest.mark.parametrize("name", ["dropout_p", "return_lse", "fold_bias"])
def test_what_a_comparison_does_not_take(name: str) -> None:
    program, qkv, _ = call("causal")
    with pytest.raises(BindError, match=f"a comparison takes no `{name}`"):
        diff(program, *qkv, **{name: True})


def test_what_plain_sdpa_loses_too_is_no_failure() -> None:
    program, (q, k, v), inputs = call("score = score + slope * (k - q); input slope: float")
    inputs["slope"] = torch.tensor(0.1)
    qkv = q.bfloat16(), k.bfloat16(), 30 * v.bfloat16()
    report = assert_equivalent(program, *qkv, backends=DENSE, **inputs)
    worst = report["sdpa"].gradients["slope"]
    assert worst > TOLERANCES["bfloat16"]
    assert worst <= report.limit("slope") == 8 * report.plain.gradients["slope"]
    with pytest.raises(AssertionError, match="in the gradient of slope"):
        assert_equivalent(program, *qkv, backends=DENSE, atol=0.1, **inputs)


def test_a_yardstick_that_is_not_finite_allows_nothing() -> None:
    plain = Result("plain sdpa", float("inf"), float("inf"))
    report = Report("", "", (Result("sdpa", float("inf")),), plain)
    assert report.limit() == TOLERANCES["float32"]
    assert report.misses() == ["sdpa is off by inf, more than 1.0e-04, in the output"]
    assert report.ratio("sdpa") is None
    assert "output, max   inf         inf\n" in str(report)


def test_the_coarsest_dtype_of_the_call_decides() -> None:
    program, qkv, inputs = call(TEXT, "float64")
    assert diff(program, *qkv, backends=DENSE, **inputs).dtype == "float32"
    doubled = {**inputs, "slopes": inputs["slopes"].double()}
    report = assert_equivalent(program, *qkv, backends=DENSE, **doubled)
    assert report.dtype == "float64"
    assert report.limit() == TOLERANCES["float64"]


def test_nan_rows_must_be_nan_rows() -> None:
    program = compile_mask("k > q", empty_rows="nan")
    sizes = {**SIZES, "kv_len": 7}
    qkv = random_qkv(sizes, 8, "float32", torch.Generator().manual_seed(0))
    report = assert_equivalent(program, *qkv, backends=DENSE)
    assert program(*qkv, backend="sdpa").isnan().any()
    assert report.worst.largest < 1e-5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_compared_in_any_mode(mode: Any) -> None:
    program, qkv, inputs = call(TEXT)
    with mode():
        made = [x.clone() for x in qkv]
        report = assert_equivalent(program, *made, backends=DENSE, **inputs)
    assert set(report["sdpa"].gradients) == {"q", "k", "v", "slopes"}


def test_half_precision_has_a_tolerance_of_its_own() -> None:
    program, qkv, inputs = call(TEXT, "bfloat16")
    report = assert_equivalent(program, *qkv, backends=DENSE, **inputs)
    assert report.worst.largest > 1e-4


def test_offsets_pass_through() -> None:
    program, qkv, inputs = call("causal")
    assert_equivalent(program, *qkv, backends=DENSE, q_offset=4, scale=0.3, **inputs)


def test_a_backend_that_was_asked_for_must_run() -> None:
    program = compile_mask("causal")
    q, k, v = random_qkv(SIZES, 8, "float32")
    mixed = q.double(), k, v
    with pytest.raises(BindError, match="q, k and v have one dtype"):
        diff(program, *mixed, backends=("flex",), gradients=False)
    capped = compile_mask("score = softcap(score, 3)")
    report = diff(capped, q, k, v, backends=("sdpa+columns",), gradients=False)
    assert report["sdpa+columns"].max_error is None
    with pytest.raises(AssertionError, match="a backend did not run"):
        assert_equivalent(capped, q, k, v, backends=("sdpa+columns",))


def test_an_unknown_backend() -> None:
    program, qkv, _ = call("causal")
    with pytest.raises(BindError, match="unknown backend `flux`"):
        diff(program, *qkv, backends=("flux",))
    assert diff(program, *qkv, backends="auto").worst.backend == "auto"
    with pytest.raises(BindError, match="there is no backend to compare"):
        assert_equivalent(program, *qkv, backends=[])


def test_a_call_that_does_not_fit_is_no_report() -> None:
    program, qkv, _ = call(TEXT)
    with pytest.raises(BindError, match="`doc` is missing"):
        diff(program, *qkv, backends=DENSE)


@pytest.mark.parametrize("q", [[1.0, 2.0], "q", None, torch.zeros(3)])
def test_tensors_that_are_none(q: Any) -> None:
    program, (_, k, v), _ = call("causal")
    with pytest.raises(BindError):
        diff(program, q, k, v)


def test_the_report_as_text() -> None:
    results = (
        Result("sdpa", 1.2e-6, 1e-7, Place(0, 1, 2, 3, expected=0.5), {"q": 2e-6, "a": 1.0}),
        Result("flex", 3e-6, 1e-7, Place(1, 1, 20), refused="no gradients: no backward on CPU"),
        Result("reference", refused="did not run: too large"),
    )
    plain = Result("plain sdpa", 1e-6, 2e-7, gradients={"q": 4e-6, "a": 0.0})
    report = Report("q [1, 2, 3, 4], float32", "k <= q", results, plain)
    assert str(report).splitlines() == [
        "k <= q",
        "",
        "q [1, 2, 3, 4], float32",
        "",
        "error          plain sdpa  sdpa           flex           reference",
        "output, max    1.0e-06     1.2e-06  1.2x  3.0e-06  3.0x  -",
        "output, mean   2.0e-07     1.0e-07  0.5x  1.0e-07  0.5x  -",
        "gradient of q  4.0e-06     2.0e-06  0.5x  -              -",
        "gradient of a  0.0e+00     1.0e+00        -              -",
        "",
        "1.0x: the error of plain SDPA with the same mask, which is rounding alone",
        "sdpa: worst at batch 0, head 1, q 2, k 3 of weight 0.5",
        "flex: worst at batch 1, head 1, q 20, which has no key",
        "flex: no gradients: no backward on CPU",
        "reference: did not run: too large",
    ]
    assert report.ratio("sdpa", "a") == float("inf")
    assert report.ratio("flex", "a") is report.ratio("reference") is None


@settings(max_examples=examples(40))
@given(
    data=st.data(),
    module=modules(depth=2),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_no_drawn_program_is_off_by_more_than_rounding(
    data: st.DataObject, module: Module, dtype: torch.dtype
) -> None:
    case: Case = data.draw(environments(module, positions=True, pairs=True))
    tables = {"q_positions": case.q_positions, "kv_positions": case.kv_positions}
    positions = {name: table for name, table in tables.items() if table is not None}
    program, qkv = compile_mask(to_text(module)), qkv_of(case, dtype=dtype)
    report = assert_equivalent(program, *qkv, backends=DENSE, **case.inputs, **positions)
    places = [result.worst for result in report.results if result.worst is not None]
    assert all(place.weight is None for place in places)
    assert str(report).count("worst at") == len(places)
