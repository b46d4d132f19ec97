"""The ways that maskc offers to run a program, each held against the formula.

A way returns what was wrong as a sentence, None if nothing was, and raises ``MaskcError`` where
maskc refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oracle.block_tables import block_mask
from oracle.case import Case, differs
from oracle.files import emitted_flex, emitted_mask, emitted_module
from oracle.gradients import gradients
from oracle.programs import Program


def dense_mask(case: Case) -> str | None:
    """Compare the dense mask."""
    return _masks_differ(case, case.bound.dense_mask())


def mask_mod(case: Case) -> str | None:
    """Compare the generated mask function at every pair."""
    shape = case.expected.mask.shape
    indices = torch.meshgrid(*(torch.arange(size) for size in shape), indexing="ij")
    return _masks_differ(case, case.bound.mask_mod(*indices))


def _masks_differ(case: Case, found: Tensor) -> str | None:
    expected = case.expected.mask
    wrong = found.expand(expected.shape) != expected
    if not bool(wrong.any()):
        return None
    at = [int(i) for i in wrong.nonzero()[0]]
    return f"wrong at {int(wrong.sum())} of {wrong.numel()} pairs, first at {at}"


def backend(name: str, **options: Any) -> Callable[[Case], str | None]:
    """Return the way that runs a backend and compares its output and log-sum-exp."""

    def way(case: Case) -> str | None:
        qkv, expected = case.qkv, case.expected
        found, lse = case.bound(*qkv, backend=name, return_lse=True, **case.options, **options)
        if found.dtype is not qkv[0].dtype:
            return f"the output is {found.dtype}, expected {qkv[0].dtype}"
        return _either(differs(case, found, expected.out), differs(case, lse, expected.lse))

    return way


def _either(out: str | None, lse: str | None) -> str | None:
    return f"out: {out}" if out else (f"lse: {lse}" if lse else None)


def compiled_flex(case: Case) -> str | None:
    """Run compiled FlexAttention, which on CPU has no float64."""
    q, k, v = (x if x.dtype is not torch.float64 else x.float() for x in case.qkv)
    found = case.bound(q, k, v, backend="flex", **case.options)
    return differs(case, found, case.expected.out, factor=2.0)


def auto(case: Case) -> str | None:
    """Run what maskc takes by itself."""
    if case.bound.choice(*case.qkv).backend == "flex":
        return None
    found = case.bound(*case.qkv, **case.options)
    return differs(case, found, case.expected.out)


def folded_bias(case: Case) -> str | None:
    """Run SDPA with the bias in columns of q and k."""
    found = case.bound(*case.qkv, backend="sdpa", fold_bias=True, **case.options)
    return differs(case, found, case.expected.out, factor=20.0)


def weights(case: Case) -> str | None:
    """Compare the probabilities."""
    found = case.bound.weights(*case.qkv[:2], **case.options)
    return differs(case, found, case.expected.weights)


def sdpa_args(case: Case) -> str | None:
    """Hand the keywords to torch ourselves."""
    q, k, v = case.qkv
    args = case.bound.sdpa_args(q, k, **case.options)
    if case.program.call.scale is not None and "scale" not in args:
        args["scale"] = case.program.call.scale
    found = F.scaled_dot_product_attention(q, k, v, **args)
    return differs(case, found, case.expected.plain_out)


def late_inputs(case: Case) -> str | None:
    """Leave to the call every input that it may bring."""
    call, inputs, late = case.program.call, case.program.inputs, late_names(case.program)
    early = {name: value for name, value in inputs.items() if name not in late}
    bound = case.compiled.bind(**call.sizes, **call.keywords, **early)
    given = {name: inputs[name] for name in late}
    found = bound(*case.qkv, backend="reference", **given, **case.options)
    return differs(case, found, case.expected.out)


def late_names(program: Program) -> frozenset[str]:
    """Return the inputs that nothing of the mask reads."""
    masking = [*program.masks, *(step.allowed for step in program.steps if step.allowed)]
    return frozenset(program.inputs) - program.needed(masking)


WAYS: dict[str, Callable[[Case], str | None]] = {
    "dense_mask": dense_mask,
    "mask_mod": mask_mod,
    "block_mask": block_mask,
    "reference": backend("reference"),
    "sdpa": backend("sdpa"),
    "auto": auto,
    "folded bias": folded_bias,
    "weights": weights,
    "sdpa_args": sdpa_args,
    "late inputs": late_inputs,
    "emitted module": emitted_module,
    "emitted mask": emitted_mask,
}
"""The ways that every program takes."""

SLOW: dict[str, tuple[int, Callable[[Case], str | None]]] = {
    "gradients": (5, gradients),
    "eager flex": (4, backend("flex")),
    "emitted flex": (20, emitted_flex),
    "compiled flex": (250, compiled_flex),
}
"""The ways that one program of so many takes."""


HANDED = ("sdpa_args", "emitted mask", "emitted flex")
"""The ways that hand a mask to torch, which multiplies what is never written by weights of 0."""


def is_open(name: str, program: Program) -> bool:
    """Tell whether a way is one that the program can take."""
    call = program.call
    if name == "late inputs":
        return bool(late_names(program))
    if call.poisoned and name in HANDED:
        return False
    if call.poisoned and name.endswith("flex"):
        return "v" not in call.poisoned
    if name == "gradients":
        return not call.poisoned
    if name.startswith("emitted"):
        has_pair = any(isinstance(value, tuple) for value in program.inputs.values())
        return call.is_plain and not has_pair and not program.selects
    return True


def quietly(way: Callable[[Case], str | None], case: Case) -> str | None:
    """Run a way without the warnings of what it costs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return way(case)
