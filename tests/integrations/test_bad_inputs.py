"""Functions that make inputs, and comparisons, refuse what they do not take."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import maskc
from maskc.integrations import inputs

META = torch.zeros(4, device="meta")
CAUSAL = maskc.compile_mask("causal")
X = torch.zeros(1, 1, 4, 8)
BOUND = CAUSAL.bind(q_len=4)

BAD: list[tuple[str, Callable[[], Any]]] = [
    ("M430", lambda: inputs.doc_ids_from_lengths("abc")),
    ("M430", lambda: inputs.doc_ids_from_lengths([1.5, 2])),
    ("M430", lambda: inputs.doc_ids_from_lengths([3], total=True)),
    ("M430", lambda: inputs.doc_ids_from_lengths([3], total=torch.ones(2))),
    ("M403", lambda: inputs.doc_ids_from_lengths([3], device="nowhere")),
    ("M430", lambda: inputs.doc_ids_from_cu_seqlens(5)),
    ("M430", lambda: inputs.doc_ids_from_ends("text", 2)),
    ("M430", lambda: inputs.doc_ids_from_ends(torch.zeros(4).long(), "eos")),
    ("M430", lambda: inputs.doc_ids_from_position_ids(torch.tensor(3))),
    ("M430", lambda: inputs.positions_in_document(META)),
    ("M430", lambda: inputs.spans(torch.tensor(3))),
    ("M430", lambda: inputs.ancestors(True)),
    ("M430", lambda: inputs.random_blocks("x", 4, 2)),
    ("M430", lambda: inputs.random_blocks(3, 4, -1)),
    ("M430", lambda: inputs.tile_order((4, 4), 2)),
    ("M430", lambda: inputs.tile_order((4, 4), (0, 2))),
    ("M430", lambda: inputs.alibi_slopes(2.5)),
    ("M403", lambda: CAUSAL.equivalent("causal", sizes=7)),
    ("M809", lambda: maskc.trace(lambda b, h, q, k: q >= k, sizes=3)),
    ("M232", lambda: maskc.testing.matches("causal", X[0, 0])),
    ("M403", lambda: maskc.testing.matches(CAUSAL, X[0], q_len=9)),
    ("M403", lambda: maskc.testing.matches(CAUSAL, 3, q_len=9)),
    ("M232", lambda: maskc.testing.random_inputs("causal", {"q_len": 3})),
    ("M403", lambda: maskc.testing.random_inputs(CAUSAL, [3])),
    ("M446", lambda: maskc.testing.diff(CAUSAL, X, X, X, gradients="yes")),
    ("M420", lambda: maskc.testing.diff(CAUSAL, X, X, X, backends=3)),
    ("M442", lambda: CAUSAL.shard((2, 1), 0)),
    ("M422", lambda: BOUND.choice(X, X, "v")),
    ("M422", lambda: BOUND.sdpa_args(X, {})),
    ("M422", lambda: BOUND.attn_mask(X.long())),
    ("M446", lambda: BOUND(X, X, X, return_lse=torch.ones(2))),
    ("M403", lambda: BOUND.at(q_len=torch.ones(2))),
    ("M431", lambda: CAUSAL(X, X, X, q_len=4)),
    ("M431", lambda: CAUSAL.bind_to(X, X, device="cpu")),
    ("M601", lambda: maskc.load("/")),
    ("M601", lambda: maskc.load("./no_suffix")),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_arguments_are_refused(number: int) -> None:
    code, call = BAD[number]
    with pytest.raises(maskc.MaskcError) as caught:
        call()
    assert caught.value.code == code
    assert str(caught.value).startswith(f"error[{code}]: ")


def test_sequences_serve_as_tensors() -> None:
    assert inputs.doc_ids_from_cu_seqlens([0, 2, 3]).tolist() == [0, 0, 1]
    assert inputs.positions_in_document([0, 0, 1]).tolist() == [0, 1, 0]
    assert inputs.doc_ids_from_lengths([]).tolist() == []


def test_an_offset_beyond_32_bits_is_named_as_it_was_given() -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        CAUSAL.bind(q_len=3, q_offset=2**40)
    assert str(caught.value) == (
        "error[M429]: `q` may leave 32 bits for the offset or the positions of this call\n"
        "    = help: positions are those of tokens: give smaller ones"
    )


def test_numbers_of_numpy_are_constants() -> None:
    text = "param n: int; param x: float; window(n); score = score * x"
    found = maskc.compile_mask(text, n=np.int64(4), x=np.float32(0.5))
    assert found == maskc.compile_mask(text, n=4, x=0.5)
    assert pickle.loads(pickle.dumps(found)) == found
