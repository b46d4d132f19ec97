"""A comparison finds what is wrong, says where, and lets nothing else pass."""

from typing import Any

import pytest
import torch

from maskc import BindError, Program, compile_mask
from maskc.testing import Report, Result, assert_equivalent, diff, random_inputs, random_qkv

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
        self.text = program.text
        self._error = error
        self._gradient = gradient

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
        assert set(result.gradients) == {"q", "k", "v"}
        assert result.refused is None


def test_the_worst_place_is_named() -> None:
    program, qkv, inputs = call(TEXT)
    report = diff(Broken(program, 0.25), *qkv, backends=DENSE, **inputs)
    assert report.worst.backend == "sdpa"
    assert report["sdpa"].worst == (1, 2, 5)
    assert report["sdpa"].max_error == pytest.approx(0.25, abs=1e-5)
    assert report["reference"].largest < 1e-5
    assert "1, 2, 5" in str(report)


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


def test_gradients_of_inputs_that_require_one() -> None:
    program, qkv, inputs = call(TEXT)
    inputs["slopes"].requires_grad_()
    report = assert_equivalent(program, *qkv, backends=DENSE, **inputs)
    assert set(report["sdpa"].gradients) == {"q", "k", "v", "slopes"}
    assert inputs["slopes"].grad is None


def test_nan_rows_must_be_nan_rows() -> None:
    program = compile_mask("k > q", empty_rows="nan")
    sizes = {**SIZES, "kv_len": 7}
    qkv = random_qkv(sizes, 8, "float32", torch.Generator().manual_seed(0))
    report = assert_equivalent(program, *qkv, backends=DENSE, gradients=False)
    assert program(*qkv, backend="sdpa").isnan().any()
    assert report.worst.largest < 1e-5


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
    report = diff(program, *mixed, backends=("flex",), gradients=False)
    assert report["flex"].max_error is None
    assert "flex     did not run" in str(report)
    with pytest.raises(AssertionError, match="a backend did not run"):
        assert_equivalent(program, *mixed, backends=("flex",))


def test_an_unknown_backend() -> None:
    program, qkv, _ = call("causal")
    with pytest.raises(BindError, match="unknown backend `flux`"):
        diff(program, *qkv, backends=("flux",))


def test_a_call_that_does_not_fit_is_no_report() -> None:
    program, qkv, _ = call(TEXT)
    with pytest.raises(BindError, match="`doc` is missing"):
        diff(program, *qkv, backends=DENSE)


def test_the_report_as_text() -> None:
    results = (
        Result("sdpa", 1.2e-6, 1e-7, (0, 1, 2), {"q": 2e-6}),
        Result("flex", 3e-6, 1e-7, (1, 1, 20), refused="no backward on CPU"),
        Result("reference", refused="too large"),
    )
    assert str(Report("q [1, 2, 3, 4], float32", "k <= q", results)).splitlines() == [
        "k <= q",
        "",
        "q [1, 2, 3, 4], float32",
        "",
        "backend    max error    mean error  at batch, head, q  dq",
        "sdpa       1.2e-06      1.0e-07     0, 1, 2            2.0e-06",
        "flex       3.0e-06      1.0e-07     1, 1, 20           -",
        "reference  did not run",
        "flex: no backward on CPU",
        "reference: too large",
    ]
