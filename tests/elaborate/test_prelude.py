"""Every name of the standard library against a formula written by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from environments import Case

from maskc.elaborate.module import elaborate, prelude
from maskc.elaborate.scope import Family, Overloads
from maskc.ir.evaluate import Point
from maskc.ir.nodes import Module
from maskc.source import Source
from maskc.syntax.parse import parse

B, H, G, Q, K = 2, 4, 2, 7, 9
DOC = torch.tensor([[3, 3, 1, 1, 1, 3, 0, 0, 2], [0, 0, 0, 1, 1, 2, 2, 2, 2]])
VALID = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 0, 0], [1, 0, 1, 1, 1, 1, 1, 1, 1]]).bool()
PREFIX = torch.tensor([2, 5])
SLOPES = torch.tensor([0.5, 0.25, 0.125, 1.0])
REL_H, REL_W = torch.randn(B, H, Q, 3), torch.randn(B, H, Q, 3)
CASE = Case(
    *(B, H, G, Q, K),
    inputs={
        "doc": DOC,
        "valid": VALID,
        "prefix_len": PREFIX,
        "slopes": SLOPES,
        "rel_h": REL_H,
        "rel_w": REL_W,
    },
)


def module(text: str) -> Module:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    assert [*errors, *more] == []
    return elaborated.module


def table(values: torch.Tensor, at: Point, place: int) -> float:
    return float(values[at.batch, at.head, at.q_idx, place])


def t5(distance: int, buckets: int, furthest: int, bidirectional: bool) -> int:
    """T5's bucket (Raffel et al. 2020, arXiv:1910.10683), by its description in the paper."""
    bucket = 0
    if bidirectional:
        buckets //= 2
        bucket += buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return bucket + distance
    logarithmic = math.log(distance / exact) / math.log(furthest / exact) * (buckets - exact)
    return bucket + min(exact + int(logarithmic), buckets - 1)


MASKS: dict[str, Callable[[Point], bool]] = {
    "full": lambda p: True,
    "causal": lambda p: p.kv_idx <= p.q_idx,
    "causal_lower_right": lambda p: p.kv_idx <= p.q_idx + K - Q,
    "window(3)": lambda p: -3 < p.q_idx - p.kv_idx < 3,
    "window(2, 1)": lambda p: p.q_idx - 2 <= p.kv_idx <= p.q_idx + 1,
    "same_doc": lambda p: bool(DOC[p.batch, p.q_idx] == DOC[p.batch, p.kv_idx]),
    "valid_keys": lambda p: bool(VALID[p.batch, p.kv_idx]),
    "prefix": lambda p: p.kv_idx < [2, 5][p.batch],
    "chunked(3)": lambda p: p.q_idx // 3 == p.kv_idx // 3,
    "sinks(2)": lambda p: p.kv_idx in (0, 1),
    "dilated(5, 2)": lambda p: p.q_idx - p.kv_idx in (-4, -2, 0, 2, 4),
    "t5_bucket(k - q, 8, 16, true) == 3": lambda p: t5(p.kv_idx - p.q_idx, 8, 16, True) == 3,
    "t5_bucket(k - q, 4, 6, false) == 2": lambda p: t5(p.kv_idx - p.q_idx, 4, 6, False) == 2,
}
TERMS: dict[str, Callable[[Point], float]] = {
    "alibi": lambda p: float(SLOPES[p.head]) * (p.kv_idx - p.q_idx),
    "softcap(q - k, 3)": lambda p: 3 * math.tanh((p.q_idx - p.kv_idx) / 3),
    "relpos(h, w)": lambda p: table(REL_H, p, p.kv_idx // 3) + table(REL_W, p, p.kv_idx % 3),
    "relpos(w)": lambda p: table(REL_W, p, p.kv_idx % 3),
    "t5_bucket(k - q)": lambda p: t5(p.kv_idx - p.q_idx, 32, 128, True),
}


@pytest.mark.parametrize("text", MASKS)
def test_masks(text: str) -> None:
    expected = torch.tensor([MASKS[text](p) for p in CASE.points()])
    found = CASE.matrix(module(text).mask)
    assert torch.equal(found.flatten(), expected)
    assert text == "full" or 0 < int(found.sum()) < found.numel()


@pytest.mark.parametrize("text", TERMS)
def test_terms_of_scores(text: str) -> None:
    expected = torch.tensor([TERMS[text](p) for p in CASE.points()], dtype=torch.float64)
    score = module(f"axis h = 3, w = 3\nscore = {text}").score
    torch.testing.assert_close(CASE.matrix(score).flatten(), expected, rtol=1e-6, atol=1e-6)


def test_t5_bucket_far_away() -> None:
    text = "score = t5_bucket(q - 200, 32, 128, true) * 1000 + t5_bucket(q - 200, 32, 128, false)"
    found = Case(1, 1, 1, 400, 1).matrix(module(text).score).flatten().tolist()
    for q, value in enumerate(found):
        assert value == t5(q - 200, 32, 128, True) * 1000 + t5(q - 200, 32, 128, False)


SPEC_NAMES = [
    *("full", "causal", "causal_lower_right", "window", "same_doc", "valid_keys", "prefix"),
    *("chunked", "sinks", "dilated", "softcap", "alibi", "relpos", "t5_bucket"),
]


def test_the_names_of_the_contract_exist_with_docs() -> None:
    scope = prelude()
    for name in SPEC_NAMES:
        meaning = scope.names[name]
        docs = [m.doc for m in meaning.macros] if isinstance(meaning, Overloads) else []
        assert all(docs or [scope.docs[name]]), name
        assert isinstance(meaning, Overloads | Family) or name in scope.docs
