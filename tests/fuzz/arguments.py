"""Arguments at random: right calls of the public face, with one or two values of another kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

import maskc
from maskc.integrations import biases, inputs

Call = Callable[..., object]
X = torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
K = torch.randn(2, 2, 9, 8, generator=torch.Generator().manual_seed(1))
DOC = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 3])
SIZES: dict[str, Any] = {"q_len": 5, "kv_len": 9, "batch_size": 2, "num_heads": 4}
SIZES |= {"num_kv_heads": 2}
LENGTHS = {"q_len": 5, "kv_len": 9, "batch_size": 2, "num_heads": 4}
QKV: dict[str, Any] = {"q": X, "k": K, "v": K}
AT: dict[str, Any] = {"q_offset": 0, "kv_offset": 0}


@dataclass(frozen=True)
class Case:
    """A call of the public face by its name, and its arguments."""

    name: str
    arguments: dict[str, Any]


@cache
def program() -> maskc.Program:
    """Return what the calls are made to."""
    return maskc.compile_mask("causal & same_doc; score = softcap(score, 30)")


@cache
def bound() -> maskc.Bound:
    """Return a binding of it."""
    return program().bind(**SIZES, doc=DOC)


@cache
def layered() -> maskc.Program:
    """Return a program with a constant."""
    return maskc.compile_mask("param layer: int = 1; causal if layer % 2 == 0 else window(3)")


@cache
def causal() -> maskc.Program:
    """Return a program without inputs."""
    return maskc.compile_mask("causal")


@cache
def planned() -> object:
    """Return who has which rows of a short sequence."""
    return program().plan(8, 2, block_size=2, doc=DOC[:8])


def _causal(b: object, h: object, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return q >= k


CALLS: Mapping[str, tuple[Callable[[], Call], dict[str, Any]]] = {
    "compile_mask": (
        lambda: maskc.compile_mask,
        {"source": "causal", "library": None, "empty_rows": "zero"},
    ),
    "load": (lambda: maskc.load, {"ref": "a.toml:mask"}),
    "bind": (
        lambda: program().bind,
        {**SIZES, **AT, "doc": DOC, "block_size": 64, "device": None, "head_offset": None},
    ),
    "bind_to": (lambda: program().bind_to, {"q": X, "k": K, "doc": DOC, "block_size": 64}),
    "call a program": (
        lambda: program().__call__,
        {**QKV, "doc": DOC, "scale": 0.3, "backend": "sdpa", "dropout_p": 0.0, "return_lse": False},
    ),
    "call a binding": (
        lambda: bound().__call__,
        {**QKV, "scale": 0.3, "backend": "auto", "dropout_p": 0.0, "return_lse": True},
    ),
    "at": (lambda: bound().at, {"q_len": 1, "kv_len": 9, "q_offset": 8}),
    "batches": (lambda: bound().batches, {"start": 0, "stop": 1}),
    "weights": (lambda: bound().weights, {"q": X, "k": K, "scale": 0.3}),
    "flex_args": (lambda: bound().flex_args, {}),
    "bands": (lambda: bound().bands, {"long": True}),
    "dense mask of SDPA": (lambda: bound().attn_mask, {"q": X, "k": K}),
    "sdpa_args": (lambda: bound().sdpa_args, {"q": X, "k": K, "scale": 0.3}),
    "scores": (lambda: bound().scores, {"q": X, "k": K, "scale": 0.3}),
    "epilogue": (lambda: bound().epilogue, {"out": X, "lse": X[..., 0]}),
    "to": (lambda: bound().to, {"device": "cpu"}),
    "choice": (lambda: bound().choice, QKV),
    "explain a call": (lambda: bound().explain, QKV),
    "why": (lambda: bound().why, {"q": 3, "k": 1, "batch": 0, "head": 0}),
    "for_layer": (lambda: program().for_layer, {"layer": 3}),
    "masked_by": (lambda: program().masked_by, {"mask": "k < 3"}),
    "with_constants": (lambda: layered().with_constants, {"layer": 3}),
    "equivalent": (lambda: program().equivalent, {"other": "causal", "sizes": SIZES}),
    "emit": (lambda: program().emit, {"target": "flex"}),
    "shard": (
        lambda: program().shard,
        {"plan": planned(), "rank": 0, "permuted_kv": True, "head_offset": None}
        | {"batch_offset": 0, "batch_size": 1, "num_heads": 2, "num_kv_heads": 1, "doc": DOC[:8]},
    ),
    "plan": (
        lambda: program().plan,
        {"seq_len": 8, "ranks": 2, "block_size": 2, "balance": "lpt", "doc": DOC[:8]},
    ),
    "matches": (
        lambda: maskc.testing.matches,
        {"program": causal(), "other": _causal, "q_len": 5, "kv_len": 9, "batch_size": 1},
    ),
    "diff": (
        lambda: maskc.testing.diff,
        {"program": causal(), **QKV, "backends": ("sdpa",), "gradients": False, "scale": 0.3},
    ),
    "random_inputs": (
        lambda: maskc.testing.random_inputs,
        {"program": program(), "sizes": SIZES, "q_offset": 0},
    ),
    "trace": (lambda: maskc.trace, {"mask_mod": _causal, "score_mod": None, "sizes": LENGTHS}),
    "doc_ids_from_lengths": (
        lambda: inputs.doc_ids_from_lengths,
        {"lengths": [3, 2], "total": 9, "device": None},
    ),
    "doc_ids_from_cu_seqlens": (
        lambda: inputs.doc_ids_from_cu_seqlens,
        {"cu_seqlens": torch.tensor([0, 3, 5]), "total": 9},
    ),
    "doc_ids_from_ends": (lambda: inputs.doc_ids_from_ends, {"tokens": DOC[None], "eos_id": 2}),
    "spans": (lambda: inputs.spans, {"ids": DOC}),
    "ancestors": (lambda: inputs.ancestors, {"parents": [-1, 0, 0]}),
    "random_blocks": (lambda: inputs.random_blocks, {"queries": 3, "keys": 4, "each": 2}),
    "tile_order": (lambda: inputs.tile_order, {"grid": (4, 4), "tile": (2, 2)}),
    "alibi_slopes": (lambda: biases.alibi_slopes, {"num_heads": 4}),
    "create_block_mask": (
        lambda: maskc.create_block_mask,
        {"mask_mod": _causal, "B": 1, "H": 1, "Q_LEN": 9, "KV_LEN": 9}
        | {"device": "cpu", "BLOCK_SIZE": 4, "fallback": "error", "verify": False},
    ),
}
TENSORS: tuple[Callable[[], torch.Tensor], ...] = (
    lambda: X.double(),
    lambda: X[0],
    lambda: X[:, :3],
    lambda: X[..., :0],
    lambda: X.to("meta"),
    lambda: X.to_sparse(),
    lambda: X.long(),
    lambda: torch.tensor(True),
    lambda: torch.tensor(3),
    lambda: DOC[:4],
    lambda: DOC.float(),
    lambda: DOC + 2**40,
    lambda: torch.zeros(0),
    lambda: torch.full((9,), float("nan")),
    lambda: torch.zeros(9, dtype=torch.complex64),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, 2**70, -(2**70), 0.0, 0.5, -0.0, 1e300),
    *(float("nan"), float("inf"), 3j, "", "x", "causal", "cuda", "cpu", "sdpa", "auto", "zero"),
    *(b"x", [], [1], [[1, 2], [3]], (), (2, 2), (0, 0), (3, 2, 1), {}, {"a": 1}, {1, 2}),
    *(object, Exception("x"), range(3), "\ud800", "x" * 2000, torch.float16, "reference"),
)


def draw(rng: random.Random) -> Case:
    """Return a call with one or two arguments replaced."""
    name = rng.choice(list(CALLS))
    arguments = dict(CALLS[name][1])
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        if arguments:
            arguments[rng.choice(list(arguments))] = _value(rng)
    return Case(name, arguments)


def attempt(case: Case) -> str:
    """Make the call; return what became of it.

    Raises:
        MaskcError: of ours; anything else is a fault.

    """
    call = CALLS[case.name][0]()
    call(**case.arguments)
    return f"{case.name}: done"


def _value(rng: random.Random) -> Any:
    return rng.choice(TENSORS)() if rng.random() < 0.4 else rng.choice(VALUES)
