"""The ways that maskc offers to run a program, each held against the formula.

A way returns what was wrong as a sentence, None if nothing was, and raises ``MaskcError`` where
maskc refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import maskc
from oracle.attention import Expected
from oracle.programs import Program

EPSILON = {torch.float64: 2e-6, torch.float32: 4e-6, torch.bfloat16: 2e-2}
"""What one operation may round, as a share; tables and positions meet in float32 everywhere."""


@dataclass
class Case:
    """A program with its tensors, compiled and bound once for all ways.

    Attributes:
        qkv: what is given to maskc.
        expected: what it must give.

    """

    program: Program
    qkv: tuple[Tensor, Tensor, Tensor]
    expected: Expected

    @cached_property
    def compiled(self) -> maskc.Program:
        """The program as maskc has it."""
        policy = self.program.call.empty_rows
        return maskc.compile_mask(self.program.text, empty_rows=policy, **self.program.given)

    @cached_property
    def bound(self) -> maskc.Bound:
        """The program bound to its tensors."""
        call = self.program.call
        return self.compiled.bind(
            **call.sizes, **call.keywords, block_size=call.block_size, **self.program.inputs
        )

    @property
    def options(self) -> dict[str, Any]:
        """The scale, where one is given."""
        scale = self.program.call.scale
        return {} if scale is None else {"scale": scale}

    def tolerance(self, dtype: torch.dtype) -> float:
        """Return what scores of their size may be off by, as a share of the result."""
        return EPSILON[dtype] * (4 + self.expected.largest)


def differs(case: Case, found: Tensor, expected: Tensor, factor: float = 1.0) -> str | None:
    """Tell where a result differs from what is expected, if it does."""
    if found.shape != expected.shape:
        return f"has shape {list(found.shape)}, expected {list(expected.shape)}"
    share = factor * case.tolerance(found.dtype if found.dtype in EPSILON else torch.float32)
    share = max(share, factor * case.tolerance(case.qkv[0].dtype))
    close = torch.isclose(found.double(), expected, rtol=share, atol=share, equal_nan=True)
    if bool(close.all()):
        return None
    at = [int(i) for i in (~close).nonzero()[0]]
    gap = (found.double() - expected).abs()[~close].nan_to_num(9e99).max()
    one, other = float(found[tuple(at)]), float(expected[tuple(at)])
    return f"wrong by {float(gap):.3g}, {int((~close).sum())} times; at {at} {one}, not {other}"


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


def block_mask(case: Case) -> str | None:
    """Compare the tables: no key lost, none that a full block has too many."""
    found, mask = case.bound.block_mask, case.expected.mask
    if found is None:
        return None if bool(mask.all()) else "there is no block mask, and some pair is masked"
    height, width = found.BLOCK_SIZE
    rows, columns = -(-mask.shape[2] // height), -(-mask.shape[3] // width)
    padding = (0, columns * width - mask.shape[3], 0, rows * height - mask.shape[2])
    inside = F.pad(torch.ones_like(mask), padding)
    tiles = F.pad(mask, padding)

    def split(x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], rows, height, columns, width).transpose(3, 4)

    any_key = split(tiles).any(-1).any(-1)
    is_full = (split(tiles) | ~split(inside)).all(-1).all(-1)
    for side in ("kv", "q"):
        partial, full = _tables(found, side, rows, columns)
        if side == "q":
            partial, full = partial.transpose(-1, -2), full.transpose(-1, -2)
        for wrong, what in (
            (any_key & ~(partial | full), "tiles with keys are missing"),
            (full & ~is_full, "tiles are full that are not"),
            (partial & full, "tiles are both partial and full"),
        ):
            if bool(wrong.any()):
                at = [int(i) for i in wrong.nonzero()[0]]
                return f"{int(wrong.sum())} {what} by the tables of {side}, first {at}"
    return None


def _tables(found: Any, side: str, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return which tiles a side's tables call partial, and which full."""
    shape = (rows, columns) if side == "kv" else (columns, rows)
    kinds = []
    for prefix in ("", "full_"):
        counts = getattr(found, f"{prefix}{side}_num_blocks")
        indices = getattr(found, f"{prefix}{side}_indices")
        if counts is None:
            kinds.append(torch.zeros(1, 1, *shape, dtype=torch.bool))
            continue
        used = torch.arange(indices.shape[-1]) < counts[..., None]
        marked = torch.zeros(*counts.shape, shape[1] + 1, dtype=torch.bool)
        places = torch.where(used, indices.long(), shape[1])
        kinds.append(marked.scatter(-1, places, True)[..., :-1])
    return kinds[0], kinds[1]


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


def emitted_module(case: Case) -> str | None:
    """Run an emitted file that does it all."""
    attention = emitted(case, "module")["attention"]
    given = _read(case, attention)
    found = attention(*case.qkv, **given, **case.options)
    return differs(case, found, case.expected.out)


def emitted_mask(case: Case) -> str | None:
    """Run an emitted file that gives the mask of SDPA."""
    q, k, v = case.qkv
    build = emitted(case, "sdpa").get("attn_mask")
    mask = None
    if build is not None:
        options = case.options if "scale" in (build.__kwdefaults__ or {}) else {}
        mask = build(q, k, **_read(case, build), **options)
    found = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, enable_gqa=q.shape[1] != k.shape[1], **case.options
    )
    return differs(case, found, case.expected.plain_out)


def emitted_flex(case: Case) -> str | None:
    """Run an emitted file that gives the keywords of FlexAttention."""
    from torch.nn.attention.flex_attention import flex_attention

    q, k, v = case.qkv
    build = emitted(case, "flex")["flex_args"]
    args = build(q, k, **case.program.inputs)
    with torch._dynamo.config.patch(recompile_limit=4096, accumulated_recompile_limit=4096):
        found = flex_attention(q, k, v, **args, **case.options)
    return differs(case, found, case.expected.plain_out)


def emitted(case: Case, target: str) -> dict[str, Any]:
    """Return the names of an emitted file."""
    scope: dict[str, Any] = {}
    exec(compile(case.compiled.emit(target), "<emitted>", "exec"), scope)
    return scope


def _read(case: Case, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the inputs for an emitted function; one that reads none takes none."""
    takes_any = function.__code__.co_flags & 0x08
    return case.program.inputs if takes_any else {}


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
    "eager flex": (4, backend("flex")),
    "emitted flex": (20, emitted_flex),
    "compiled flex": (250, compiled_flex),
}
"""The ways that one program of so many takes."""


def is_open(name: str, program: Program) -> bool:
    """Tell whether a way is one that the program can take."""
    call = program.call
    if name == "late inputs":
        return bool(late_names(program))
    if name.startswith("emitted"):
        has_pair = any(isinstance(value, tuple) for value in program.inputs.values())
        return call.is_plain and not has_pair and not program.selects
    return True


def quietly(way: Callable[[Case], str | None], case: Case) -> str | None:
    """Run a way without the warnings of what it costs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return way(case)
