"""Epilogues of the library, against the sums of their definitions."""

import math

import torch
from scores_by_hand import H, Score
from torch import Tensor

from maskc.program import compile_mask

SINK = torch.tensor([0.3, -1.0, 2.0, 0.0], dtype=torch.float64)
PLAIN = Score("score = score * 1", lambda s, b, h, q, k: s if k <= q else -math.inf)


def run(text: str, backend: str, **inputs: Tensor) -> Tensor:
    q, k, v = PLAIN.vectors()
    return compile_mask(text)(q, k, v, backend=backend, **inputs)


def values() -> Tensor:
    return PLAIN.vectors()[2].repeat_interleave(2, dim=1)


def check(text: str, expected: Tensor, **inputs: Tensor) -> None:
    for backend in ("reference", "sdpa"):
        torch.testing.assert_close(run(text, backend, **inputs), expected, rtol=1e-6, atol=1e-6)


def test_sinks_are_one_more_logit() -> None:
    scores = PLAIN.scores()
    column = SINK[:, None, None].expand(*scores.shape[:-1], 1)
    weights = torch.cat([scores, column], -1).softmax(-1)[..., :-1]
    check(
        "input sink: float; causal; out = out * sink_gate(sink[head])",
        weights @ values(),
        sink=SINK,
    )


def test_softmax_plus_one() -> None:
    raw = PLAIN.scores().exp()
    check("causal; out = out * sink_gate()", raw / (1 + raw.sum(-1, True)) @ values())


def test_sigmoid_attention() -> None:
    scores = PLAIN.scores() - math.log(13)
    check(
        "causal; score = log_sigmoid(score - log(float(kv_len))); out = out * exp(lse)",
        torch.sigmoid(scores) @ values(),
    )


def test_log_sigmoid_far_out() -> None:
    bound = compile_mask("score = log_sigmoid(score)").bind(q_len=2, num_heads=H)
    far = torch.tensor([-800.0, 800.0], dtype=torch.float64)
    scores = torch.stack([far, far]).reshape(1, 1, 2, 2).expand(1, H, 2, 2)
    q, k = torch.ones(1, H, 2, 1).double(), scores[..., 0, :, None]
    weights = bound.weights(q, k, scale=1.0)
    assert torch.isfinite(weights).all()
    assert weights[0, 0, 0].tolist() == [0, 1]
