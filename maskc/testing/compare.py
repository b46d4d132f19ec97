"""Run backends on the same tensors and measure them against the reference in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maskc.errors import LoweringError
from maskc.testing.report import Report, Result

if TYPE_CHECKING:
    from torch import Tensor

    from maskc.runtime.program import Program

BACKENDS = ("flex", "sdpa", "reference")
TOLERANCES = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
"""The largest error allowed by default, for q, k and v of a standard deviation of 1."""


def diff(
    program: Program,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backends: Sequence[str] = BACKENDS,
    gradients: bool = True,
    scale: float | None = None,
    **inputs: Any,
) -> Report:
    """Return how far each backend is from the float64 reference.

    Args:
        program: what to run.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        backends: which to run. One that refuses the program is reported, not raised.
        gradients: also compare the gradients of q, k, v and of the inputs that require one; the
            loss is the sum of the output times a fixed random tensor.
        scale: of the scores, ``1 / sqrt(D)`` by default.
        **inputs: the program's inputs, and offsets or positions as ``bind`` takes them.

    Raises:
        BindError: a tensor does not fit, or there is no such backend.

    """
    call = _Call(program, {"q": q, "k": k, "v": v}, inputs, scale)
    exact = call.in_float64()
    truth = exact.run("reference").detach()
    slopes = exact.gradients("reference") if gradients else {}
    results = [_measure(call, backend, truth, slopes) for backend in backends]
    return Report(_title(q, k, v), program.text, tuple(results))


def assert_equivalent(
    program: Program,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backends: Sequence[str] | None = None,
    atol: float | None = None,
    gradients: bool = True,
    scale: float | None = None,
    **inputs: Any,
) -> Report:
    """Raise AssertionError, with the whole report, unless all backends are near the reference.

    Args:
        program: what to run.
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        backends: those that must run; by default all that can.
        atol: the largest absolute error of outputs and gradients; by default that of the dtype.
        gradients: also compare gradients, where a backend has them.
        scale: of the scores, ``1 / sqrt(D)`` by default.
        **inputs: the program's inputs, and offsets or positions as ``bind`` takes them.

    Returns:
        The report.

    """
    asked = BACKENDS if backends is None else backends
    report = diff(program, q, k, v, backends=asked, gradients=gradients, scale=scale, **inputs)
    limit = TOLERANCES[_dtype_name(q)] if atol is None else atol
    if backends is not None and any(result.max_error is None for result in report.results):
        raise AssertionError(f"a backend did not run\n\n{report}")
    if not report.worst.largest <= limit:
        largest, backend = report.worst.largest, report.worst.backend
        raise AssertionError(f"{backend} is off by {largest:.1e}, over {limit:.0e}\n\n{report}")
    return report


class _Call:
    """A program with the tensors of one call."""

    def __init__(
        self,
        program: Program,
        qkv: Mapping[str, Tensor],
        inputs: Mapping[str, Any],
        scale: float | None,
    ) -> None:
        self._program = program
        self._qkv = {name: tensor.detach() for name, tensor in qkv.items()}
        self._inputs = dict(inputs)
        self._scale = scale

    def in_float64(self) -> _Call:
        """Return the same call with every float in float64."""
        qkv = {name: tensor.double() for name, tensor in self._qkv.items()}
        inputs = {name: _double(value) for name, value in self._inputs.items()}
        return _Call(self._program, qkv, inputs, self._scale)

    def run(self, backend: str) -> Tensor:
        """Return the output of a backend."""
        import torch

        with torch.no_grad():
            inputs = {name: _detached(value) for name, value in self._inputs.items()}
            out: Tensor = self._program(**self._qkv, backend=backend, scale=self._scale, **inputs)
            return out

    def gradients(self, backend: str) -> dict[str, Tensor]:
        """Return the gradients of q, k, v and of the inputs that require one."""
        import torch

        leaves = {name: tensor.clone().requires_grad_() for name, tensor in self._qkv.items()}
        trained = {n: _detached(x).clone().requires_grad_() for n, x in self._trained().items()}
        inputs = {**self._inputs, **trained}
        out = self._program(**leaves, backend=backend, scale=self._scale, **inputs)
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(out.shape, generator=generator).to(out)
        wanted = {**leaves, **trained}
        found = torch.autograd.grad(
            (out * weight).sum(), list(wanted.values()), materialize_grads=True
        )
        return dict(zip(wanted, found, strict=True))

    def _trained(self) -> dict[str, Tensor]:
        import torch

        return {
            name: value
            for name, value in self._inputs.items()
            if isinstance(value, torch.Tensor) and value.requires_grad
        }


def _measure(call: _Call, backend: str, truth: Tensor, slopes: Mapping[str, Tensor]) -> Result:
    try:
        errors = _errors(call.run(backend), truth)
    except LoweringError as refusal:
        return Result(backend, refused=refusal.message)
    largest = float(errors.max())
    batch, head, row, _ = (int(i) for i in (errors == largest).nonzero()[0])
    gradients: dict[str, float] = {}
    refused = None
    if slopes:
        try:
            found = call.gradients(backend)
            gradients = {name: float(_errors(found[name], slopes[name]).max()) for name in slopes}
        except LoweringError as refusal:
            refused = refusal.message
    return Result(backend, largest, float(errors.mean()), (batch, head, row), gradients, refused)


def _errors(found: Tensor, truth: Tensor) -> Tensor:
    """Return the absolute errors; NaN and infinities must be met exactly."""
    import torch

    found = found.detach().to(truth)
    same = (found == truth) | (found.isnan() & truth.isnan())
    return torch.where(same, 0.0, (found - truth).abs().nan_to_num(torch.inf, torch.inf))


def _double(value: Any) -> Any:
    import torch

    if isinstance(value, tuple):
        return tuple(_double(part) for part in value)
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.detach().double().requires_grad_(value.requires_grad)
    return value


def _detached(value: Any) -> Any:
    import torch

    if isinstance(value, tuple):
        return tuple(_detached(part) for part in value)
    return value.detach() if isinstance(value, torch.Tensor) else value


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _title(q: Tensor, k: Tensor, v: Tensor) -> str:
    shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in (("q", q), ("k", k), ("v", v)))
    return f"{shapes}, {_dtype_name(q)}, against the reference in float64"
