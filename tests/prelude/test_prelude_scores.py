"""Scores of the library and its one-liners, against formulas written by hand."""

import math

import pytest
import torch
from scores_by_hand import B, H, Score

from maskc.integrations.inputs import (
    alibi_slopes,
    decomposed_rel_pos,
    samples,
    sandwich_bias,
    shaw_scores,
)
from maskc.program import compile_mask

GENERATOR = torch.Generator().manual_seed(5)
N = 13


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


GAIN = draw(H).exp()
LIMIT = draw(H).exp()
TABLE = draw(H, 2 * N - 1)
T5_TABLE = draw(H, 8)
NEAR_TABLE = draw(H, 5)
SWIN_2D, SWIN_3D = draw(H, 5, 5), draw(H, 3, 3, 5)
FORGET = torch.sigmoid(draw(B, H, N) + 2)
HOPS = torch.randint(0, 5, (B, N, N), generator=GENERATOR)
HOP_TABLE = draw(H, 5)
A, P = draw(H).exp(), torch.sigmoid(draw(H)) * 2
SLOPES = alibi_slopes(H)
MLP = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Linear(8, H)).double()
REL = {"h": draw(5, 6), "w": draw(9, 6)}
SHAW = draw(7, 6)


def t5(distance: int, buckets: int, furthest: int, bidirectional: bool) -> int:
    """T5's bucket of ``key - query`` (arXiv:1910.10683, section 2.1, and its appendix)."""
    bucket = 0
    if bidirectional:
        buckets //= 2
        bucket = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return bucket + distance
    share = math.log(distance / exact) / math.log(furthest / exact)
    return bucket + min(exact + int(share * (buckets - exact)), buckets - 1)


def causal(value: float, q: int, k: int) -> float:
    return value if k <= q else -math.inf


def fire(h: int, q: int, k: int) -> float:
    """FIRE, equation 19: the network of psi(q - k) / psi(max(threshold, q)), c = 0.5."""
    place = math.log(0.5 * (q - k) + 1) / math.log(0.5 * max(4, q) + 1)
    return float(MLP(torch.tensor([[place]], dtype=torch.float64))[0, h])


@pytest.mark.parametrize(
    "score",
    [
        pytest.param(Score("score = score * 0.25", lambda s, b, h, q, k: s / 4), id="scale"),
        pytest.param(
            Score(
                "input gain: float; score = score * gain[head]",
                lambda s, b, h, q, k: s * float(GAIN[h]),
                {"gain": GAIN},
            ),
            id="temperature per head",
        ),
        pytest.param(
            Score(
                "input gain: float; causal; score = score * ssmax(gain[head])",
                lambda s, b, h, q, k: causal(s * float(GAIN[h]) * math.log(q + 1), q, k),
                {"gain": GAIN},
            ),
            id="SSMax",
        ),
        pytest.param(
            Score(
                "causal; score = score * log_n(5)",
                lambda s, b, h, q, k: causal(s * max(1, math.log(q + 1, 5)), q, k),
            ),
            id="log-n scaling",
        ),
        pytest.param(
            Score("score = softcap(score, 1.5)", lambda s, b, h, q, k: 1.5 * math.tanh(s / 1.5)),
            id="softcap",
        ),
        pytest.param(
            Score("score = clip(score, 0.7)", lambda s, b, h, q, k: max(-0.7, min(s, 0.7))),
            id="clip",
        ),
        pytest.param(
            Score(
                "input limit: float; score = clip(score, limit[head])",
                lambda s, b, h, q, k: sorted([-float(LIMIT[h]), s, float(LIMIT[h])])[1],
                {"limit": LIMIT},
            ),
            id="clip per head",
        ),
        pytest.param(
            Score(
                "causal; score = score + alibi",
                lambda s, b, h, q, k: causal(s - 2.0 ** (-2 * (h + 1)) * (q - k), q, k),
                {"slopes": SLOPES},
            ),
            id="ALiBi",
        ),
        pytest.param(
            Score(
                "score = score + alibi_symmetric",
                lambda s, b, h, q, k: s - 2.0 ** (-2 * (h + 1)) * abs(q - k),
                {"slopes": SLOPES},
                kv_len=17,
            ),
            id="symmetric ALiBi",
        ),
        pytest.param(
            Score(
                "input table: float; score = score + table[head, t5_bucket(k - q, 8, 10, true)]",
                lambda s, b, h, q, k: s + float(T5_TABLE[h, t5(k - q, 8, 10, True)]),
                {"table": T5_TABLE},
            ),
            id="T5, both directions",
        ),
        pytest.param(
            Score(
                "input table: float; causal\n"
                "score = score + table[head, t5_bucket(k - q, 8, 10, false)]",
                lambda s, b, h, q, k: causal(s + float(T5_TABLE[h, t5(k - q, 8, 10, False)]), q, k),
                {"table": T5_TABLE},
            ),
            id="T5, backward",
        ),
        pytest.param(
            Score(
                f"input table: float; score = score + table[head, rel_index({N})]",
                lambda s, b, h, q, k: s + float(TABLE[h, q - k + N - 1]),
                {"table": TABLE},
            ),
            id="relative table 1-D",
        ),
        pytest.param(
            Score(
                "input table: float; score = score + table[head, rel_index(3)]",
                lambda s, b, h, q, k: s + float(NEAR_TABLE[h, max(-2, min(q - k, 2)) + 2]),
                {"table": NEAR_TABLE},
            ),
            id="clamped relative table",
        ),
        pytest.param(
            Score(
                "axis h = 6, w = 3; shifted_window(h, 3) & shifted_window(w, 3)\n"
                "input table: float; score = score + table[head, rel_index(h, 3), rel_index(w, 3)]",
                lambda s, b, h, q, k: (
                    s + float(SWIN_2D[h, q // 3 - k // 3 + 2, q % 3 - k % 3 + 2])
                    if q // 9 == k // 9
                    else -math.inf
                ),
                {"table": SWIN_2D},
                q_len=18,
            ),
            id="Swin 2-D",
        ),
        pytest.param(
            Score(
                "input table: float; axis t = 2, h = 2, w = 3\n"
                "score = score + table[head, rel_index(t, 2), rel_index(h, 2), rel_index(w, 3)]",
                lambda s, b, h, q, k: (
                    s
                    + float(
                        SWIN_3D[
                            h, q // 6 - k // 6 + 1, q // 3 % 2 - k // 3 % 2 + 1, q % 3 - k % 3 + 2
                        ]
                    )
                ),
                {"table": SWIN_3D},
                q_len=12,
            ),
            id="Swin 3-D",
        ),
        pytest.param(
            Score(
                "input a: float; input p: float; causal\n"
                "score = score + kerple_log(a[head], p[head])",
                lambda s, b, h, q, k: causal(
                    s - float(A[h]) * math.log1p(float(P[h]) * (q - k)) if k <= q else 0, q, k
                ),
                {"a": A, "p": P},
            ),
            id="KERPLE, logarithmic",
        ),
        pytest.param(
            Score(
                "score = score + kerple_power(a[head], p[head]); input a: float; input p: float",
                lambda s, b, h, q, k: s - float(A[h]) * abs(q - k) ** float(P[h]),
                {"a": A, "p": P},
            ),
            id="KERPLE, power",
        ),
        pytest.param(
            Score(
                "input table: float; causal; score = score + by_distance(table)",
                lambda s, b, h, q, k: causal(
                    s
                    + sum(math.cos((q - k) / 10000 ** (2 * i / 8)) for i in range(4))
                    / ((h + 1) * 8 / H),
                    *(q, k),
                ),
                {"table": sandwich_bias(H, N, 8)},
            ),
            id="Sandwich",
        ),
        pytest.param(
            Score(
                "causal; score = score + forgetting",
                lambda s, b, h, q, k: causal(
                    s + sum(math.log(float(FORGET[b, h, j])) for j in range(k + 1, q + 1)), q, k
                ),
                {"log_forget": FORGET.log().cumsum(-1)},
            ),
            id="forgetting",
        ),
        pytest.param(
            Score(
                "input table: float; input hops: int; score = score + by_hops(table, hops)",
                lambda s, b, h, q, k: s + float(HOP_TABLE[h, int(HOPS[b, q, k])]),
                {"table": HOP_TABLE, "hops": HOPS},
            ),
            id="Graphormer",
        ),
    ],
)
def test_scores(score: Score) -> None:
    score.check()


def test_fire_within_its_sampling() -> None:
    text = (
        "causal; score = score + sampled(table, fire_distance(0.5, 4.0), 500); input table: float"
    )
    with torch.no_grad():
        table = samples(lambda x: MLP(x.double()), 500)
        score = Score(
            text,
            lambda s, b, h, q, k: s + fire(h, q, k) if k <= q else -math.inf,
            {"table": table},
        )
        score.check(tolerance=2e-3)


def test_sampled_is_straight_between_samples() -> None:
    text = "score = score + sampled(table, x[k], 4); input table: float; input x: float"
    table, x = draw(H, 5), torch.linspace(0, 1, N, dtype=torch.float64)

    def formula(s: float, b: int, h: int, q: int, k: int) -> float:
        left = min(int(float(x[k]) * 4), 3)
        part = float(x[k]) * 4 - left
        return s + float(table[h, left]) * (1 - part) + float(table[h, left + 1]) * part

    Score(text, formula, {"table": table, "x": x}).check()


def test_decomposed_relative_positions() -> None:
    score = Score(
        "axis h = 3, w = 5; score = score + relpos(h, w)", lambda s, b, h, q, k: s, {}, 15
    )
    vectors = score.vectors()[0]

    def formula(s: float, b: int, h: int, q: int, k: int) -> float:
        rows = REL["h"][q // 5 - k // 5 + 2] + REL["w"][q % 5 - k % 5 + 4]
        return s + float(vectors[b, h, q] @ rows)

    inputs = decomposed_rel_pos(vectors, REL, {"h": 3, "w": 5})
    Score(score.text, formula, inputs, 15).check()


def test_shaw() -> None:
    score = Score("score = score + shaw(3)", lambda s, b, h, q, k: s, kv_len=17)
    vectors = score.vectors()[0]

    def formula(s: float, b: int, h: int, q: int, k: int) -> float:
        row = SHAW[max(-3, min(k - q, 3)) + 3]
        return s + float(vectors[b, h, q] @ row) / math.sqrt(6)

    Score(score.text, formula, {"rel_q": shaw_scores(vectors, SHAW)}, kv_len=17).check()


@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (32, 130), (16, 50), (64, 500)])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_t5_buckets_of_all_distances(buckets: int, furthest: int, bidirectional: bool) -> None:
    reach = 2 * furthest
    word = str(bidirectional).lower()
    text = f"input bucket: int; t5_bucket(q - {reach}, {buckets}, {furthest}, {word}) == bucket[k]"
    bound = compile_mask(text).bind(
        q_len=2 * reach + 1, kv_len=buckets, bucket=torch.arange(buckets)
    )
    found = bound.dense_mask()[0, 0].int().argmax(-1).tolist()
    expected = [t5(d, buckets, furthest, bidirectional) for d in range(-reach, reach + 1)]
    assert found == expected
    assert set(expected) == set(range(buckets)) - ({buckets // 2} if bidirectional else set())
