"""Run backends on the same tensors and measure them against the reference in float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from maskc.binding.flags import check_flag
from maskc.errors import BindError
from maskc.program import Program
from maskc.run.backends import COMPARED
from maskc.testing.call import Call, Outcome
from maskc.testing.given import check_program
from maskc.testing.locate import largest_at, locate
from maskc.testing.plain import NAME, plain_sdpa
from maskc.testing.report import OUT, Report, Result, allowed

BACKENDS = COMPARED
"""The backends that are compared by default; ``sdpa+columns`` is, where it is named."""

NOT_COMPARED = {
    "dropout_p": "what is dropped is random",
    "return_lse": "only outputs and gradients are compared",
    "fold_bias": "compare the backend `sdpa+columns`",
}
"""Keywords of a call that a comparison does not take, and why."""


def diff(
    program: Program,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backends: str | Sequence[str] = BACKENDS,
    gradients: bool = True,
    scale: float | None = None,
    **inputs: Any,
) -> Report:
    """Return how far each backend is from the float64 reference, beside what rounding costs.

    That cost is the error of plain SDPA in the same dtype, on the same tensors and with the same
    weights; see ``maskc.testing.plain``.

    Args:
        program: what to run.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        backends: which to run. One that refuses the program is reported, not raised.
        gradients: also compare the gradients of q, k, v and of every float tensor that the score
            or the epilogue reads; the loss is the sum of the output times a fixed random tensor.
        scale: of the scores, ``1 / sqrt(D)`` by default.
        **inputs: the program's inputs, and offsets or positions as ``bind`` takes them.

    Raises:
        BindError: a tensor does not fit, or there is no such backend.

    """
    names = [backends] if isinstance(backends, str) else _listed(backends)
    *_, report = reports(program, q, k, v, names, gradients=gradients, scale=scale, inputs=inputs)
    return report


def reports(
    program: Program,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    backends: Sequence[str],
    *,
    gradients: bool = True,
    scale: float | None = None,
    inputs: Mapping[str, Any],
) -> Iterator[Report]:
    """Yield the report of ``diff`` as it grows: without a result first, then with one more each.

    The arguments are those of ``diff``.
    """
    check_program(program)
    check_flag("gradients", gradients)
    _check(backends, inputs)
    call = Call(program, {"q": q, "k": k, "v": v}, inputs, scale).detached()
    compared = _compared(call, gradients)
    report = Report(_title(call), program.text, (), compared.plain, call.coarsest)
    yield report
    for backend in backends:
        report = replace(report, results=(*report.results, compared.result(backend, gradients)))
        yield report


def assert_equivalent(
    program: Program,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backends: str | Sequence[str] | None = None,
    atol: float | None = None,
    gradients: bool = True,
    scale: float | None = None,
    **inputs: Any,
) -> Report:
    """Raise AssertionError, with the whole report, unless all backends are near the reference.

    Without ``atol`` an error is allowed that is under the tolerance of the dtype (``TOLERANCES``,
    for values of a standard deviation of 1), or within eight times that of plain SDPA on the same
    tensors. The first alone would fail what is nobody's bug: the gradient of a bias that is summed
    over a thousand queries is large, and so is its rounding. The second alone would fail where
    plain SDPA happens to be exact.

    Args:
        program: what to run.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        backends: those that must run; by default all that can.
        atol: the largest absolute error of outputs and gradients; by default as above.
        gradients: also compare gradients, where a backend has them.
        scale: of the scores, ``1 / sqrt(D)`` by default.
        **inputs: the program's inputs, and offsets or positions as ``bind`` takes them.

    Returns:
        The report.

    """
    asked = BACKENDS if backends is None else backends
    report = diff(program, q, k, v, backends=asked, gradients=gradients, scale=scale, **inputs)
    if backends is not None and any(result.max_error is None for result in report.results):
        raise AssertionError(f"a backend did not run\n\n{report}")
    if misses := report.misses(atol):
        raise AssertionError("\n".join([*misses, "", str(report)]))
    return report


def _listed(backends: Sequence[str]) -> list[str]:
    try:
        return list(backends)
    except TypeError:
        message = f"`backends` names backends, found {type(backends).__name__}"
        help = f"expected some of {', '.join(BACKENDS)}"
        raise BindError("M420", message, help=help) from None


def _check(backends: Sequence[str], inputs: Iterable[str]) -> None:
    if not backends:
        help = f"expected some of {', '.join(BACKENDS)}"
        raise BindError("M420", "there is no backend to compare", help=help)
    for name in inputs:
        if name in NOT_COMPARED:
            message = f"a comparison takes no `{name}`"
            raise BindError("M431", message, help=f"leave it out: {NOT_COMPARED[name]}")


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A call, what it should give, and the errors that rounding alone makes."""

    call: Call
    truth: Outcome
    plain: Result | None
    weights: Tensor
    """Those expected, ``[B, H, Q, K]``."""

    def result(self, backend: str, gradients: bool) -> Result:
        """Run a backend and measure it."""
        found = self.call.outcome(backend, gradients)
        if found.out is None:
            return Result(backend, refused=found.refused)
        result = _measured(backend, found, self.truth)
        if result.max_error == 0:
            return result
        is_wrong = not result.errors[OUT] <= allowed(self.call.coarsest, self.plain, OUT)
        errors = _errors(found.out, self.truth.out)
        place = locate(self.call, errors, self.weights, backend if is_wrong else None)
        return replace(result, worst=place)


def _compared(call: Call, gradients: bool) -> _Comparison:
    exact = call.in_float64()
    truth = exact.with_gradients("reference") if gradients else exact.outcome("reference", False)
    with torch.no_grad():
        weights = exact.bound().weights(exact.qkv["q"], exact.qkv["k"], scale=exact.scale)
    plain = plain_sdpa(call, truth, gradients)
    return _Comparison(call, truth, None if plain is None else _measured(NAME, *plain), weights)


def _measured(name: str, found: Outcome, truth: Outcome) -> Result:
    """Return how far an outcome is from what it should be."""
    errors = _errors(found.out, truth.out)
    slopes = {n: _errors(found.gradients[n], truth.gradients[n]) for n in found.gradients}
    return Result(
        name,
        float(errors.max()),
        float(errors.mean()),
        gradients={n: float(error.max()) for n, error in slopes.items()},
        gradients_at={n: largest_at(error) for n, error in slopes.items()},
        refused=found.refused,
    )


def _errors(found: Tensor | None, truth: Tensor | None) -> Tensor:
    """Return the absolute errors; NaN and infinities must be met exactly."""
    assert found is not None
    assert truth is not None
    found = found.detach().to(truth)
    same = (found == truth) | (found.isnan() & truth.isnan())
    return torch.where(same, 0.0, (found - truth).abs().nan_to_num(torch.inf, torch.inf))


def _title(call: Call) -> str:
    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in call.qkv.items())
    return f"{shapes}, {call.dtype}, against the reference in float64"
