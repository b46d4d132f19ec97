"""A program with the tensors of one call, in their own dtype or in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from maskc.binding.inputs import names_of
from maskc.errors import DenseScoresWarning, LoweringError
from maskc.program import Program
from maskc.run.bound import Bound


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave.

    Attributes:
        out: the output; None if there was none.
        gradients: of q, k, v and the float inputs, by name.
        refused: why there is no output, or no gradient.

    """

    out: Tensor | None = None
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A program with the tensors of one call.

    Attributes:
        program: the program.
        qkv: q, k and v by name.
        inputs: the inputs, and what else ``bind`` takes.
        scale: of the scores, ``1 / sqrt(D)`` if None.

    """

    program: Program
    qkv: Mapping[str, Tensor]
    inputs: Mapping[str, Any]
    scale: float | None

    def each(self, change: Callable[[Tensor], Tensor], only: frozenset[str] | None = None) -> Call:
        """Return the call with every float tensor changed, or only with the inputs named."""
        qkv = {name: _each(value, change) for name, value in self.qkv.items()}
        inputs = {
            name: _each(value, change) if only is None or name in only else value
            for name, value in self.inputs.items()
        }
        return replace(self, qkv=qkv, inputs=inputs)

    @property
    def dtype(self) -> str:
        """The dtype of q."""
        return _name(self.qkv["q"])

    @property
    def coarsest(self) -> str:
        """The dtype of q or of a float input that rounds most."""
        parts = [part for value in self.inputs.values() for part in _parts(value)]
        floats = [self.qkv["q"], *(part for part in parts if _is_float(part))]
        return _name(max(floats, key=lambda tensor: torch.finfo(tensor.dtype).eps))

    def detached(self) -> Call:
        """Return the call without the graph that its tensors come from."""
        return self.each(lambda tensor: tensor.detach())

    def in_float64(self) -> Call:
        """Return the same call with every float in float64."""
        return self.each(lambda tensor: tensor.double())

    def with_leaves(self) -> Call:
        """Return the call whose q, k, v and float inputs of score and epilogue want a gradient.

        What only the mask reads has none.
        """
        return self.each(lambda tensor: tensor.clone().requires_grad_(), self._trained)

    def leaves(self) -> dict[str, Tensor]:
        """Return the tensors that want a gradient; those of a pair are ``x[q]`` and ``x[k]``."""
        result = dict(self.qkv)
        for name, value in self.inputs.items():
            parts = _parts(value)
            labels = [f"{name}[{side}]" for side in "qk"] if len(parts) == 2 else [name]
            result.update(zip(labels, parts, strict=False))
        return {
            name: part for name, part in result.items() if getattr(part, "requires_grad", False)
        }

    def bound(self) -> Bound:
        """Bind the program to the sizes and inputs of the call."""
        return self.program.bind_to(self.qkv["q"], self.qkv["k"], **self.inputs)

    def out(self, backend: str) -> Tensor:
        """Return the output of a backend."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DenseScoresWarning)  # what is compared is small
            given: dict[str, Any] = {"backend": backend, "scale": self.scale, **self.inputs}
            out: Tensor = self.program(self.qkv["q"], self.qkv["k"], self.qkv["v"], **given)
        return out

    def outcome(self, backend: str, gradients: bool) -> Outcome:
        """Return the output of a backend and, if asked for, its gradients; or why it has none."""
        try:
            with torch.no_grad():
                out = self.out(backend)
        except LoweringError as refusal:
            return Outcome(refused=f"did not run: {refusal.message}")
        if not gradients:
            return Outcome(out)
        try:
            return Outcome(out, self.with_gradients(backend).gradients)
        except LoweringError as refusal:
            return Outcome(out, refused=f"no gradients: {refusal.message}")

    def with_gradients(self, backend: str) -> Outcome:
        """Return the output and the gradients of one run.

        Raises:
            LoweringError: the backend has no gradients.

        """
        with torch.inference_mode(False), torch.enable_grad():
            ready = self.with_leaves()
            out = ready.out(backend)
            return Outcome(out.detach(), slopes(out, ready.leaves()))

    @property
    def _trained(self) -> frozenset[str]:
        module = self.program.module
        return frozenset(names_of((module.score, module.out)))


def slopes(out: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of the sum of the output times a fixed random tensor."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(out.shape, generator=generator).to(out)
    result = torch.autograd.grad(
        (out * weight).sum(), list(leaves.values()), materialize_grads=True
    )
    return dict(zip(leaves, result, strict=True))


def _name(tensor: Tensor) -> str:
    """Return a dtype as ``TOLERANCES`` names it."""
    return str(tensor.dtype).removeprefix("torch.")


def _parts(value: Any) -> tuple[Any, ...]:
    """Return both sides of a pair, or what there is."""
    return value if isinstance(value, tuple) else (value,)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a float tensor, or both of a pair; anything else stays as it is."""
    if isinstance(value, tuple):
        return tuple(_each(part, change) for part in value)
    return change(value) if _is_float(value) else value


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
