"""Masks of blocks, tables and selections, against rules written by hand."""

import pytest
import torch
from by_hand import Mask

from maskc.integrations.inputs import random_blocks

Q, K, B, H = 23, 29, 2, 4
GENERATOR = torch.Generator().manual_seed(3)
PAD = [0, 5]
BLOCKS = torch.rand(H, 6, 8, generator=GENERATOR) < 0.4
ROUTES = torch.rand(B, 2, Q, 8, generator=GENERATOR) < 0.4
RANDOM = random_blocks(6, 6, 2, GENERATOR)
BUCKETS = torch.randint(0, 4, (B, H, K), generator=GENERATOR)
SHARED_BUCKETS = BUCKETS[0, :1]
EDGES = torch.rand(K, K, generator=GENERATOR) < 0.2
ALLOWED = torch.rand(B, H, Q, K, generator=GENERATOR) < 0.5
IMPORTANCE = torch.randn(B, 2, K, generator=GENERATOR).round(decimals=1)
BLOCK_SCORES = torch.randn(6, 8, generator=GENERATOR)


def bigbird(q: int, k: int, size: int) -> bool:
    """BigBird, section 2: a block sees three around it, the first one, and random ones."""
    mine, other = q // size, k // size
    near = other in (mine - 1, mine, mine + 1)
    with_first = mine == 0 or other == 0
    return near or with_first or bool(RANDOM[0, mine, other])


def block_diffusion(q: int, k: int, n: int, size: int) -> bool:
    """BD3-LM, section 4: block diagonal, offset block causal, and block causal parts."""
    q_clean, k_clean = q >= n, k >= n
    q_block = (q - n) // size if q_clean else q // size
    k_block = (k - n) // size if k_clean else k // size
    diagonal = q_block == k_block and not q_clean and not k_clean
    offset = q_block > k_block and not q_clean and k_clean
    causal = q_block >= k_block and q_clean and k_clean
    return diagonal or offset or causal


def best(batch: int, head: int, allowed: list[int], n: int) -> list[int]:
    """Return the ``n`` most important of the ``allowed`` keys; the lower index wins a tie."""
    values = IMPORTANCE[batch, head].tolist()
    return sorted(allowed, key=lambda key: (-values[key], key))[:n]


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(
            Mask("chunked(6)", lambda b, h, q, k: k - k % 6 == q - q % 6, {}, Q, K),
            id="blocked",
        ),
        pytest.param(
            Mask(
                "causal & chunked(6)",
                lambda b, h, q, k: k in range(q - q % 6, q + 1),
                *({}, Q, K),
            ),
            id="chunked",
        ),
        pytest.param(
            Mask(
                "causal & left_padded & chunked(6, pad_len[batch])",
                lambda b, h, q, k: PAD[b] <= k <= q and k - PAD[b] >= (q - PAD[b]) // 6 * 6,
                {"pad_len": torch.tensor(PAD)},
                *(Q, K, B),
            ),
            id="chunked, padded in front",
        ),
        pytest.param(
            Mask("block_causal(5)", lambda b, h, q, k: k < (q // 5 + 1) * 5, {}, Q, K),
            id="block causal",
        ),
        pytest.param(
            Mask(
                "block_band(4, 1)",
                lambda b, h, q, k: k in range(q // 4 * 4 - 4, q // 4 * 4 + 8),
                *({}, Q, K),
            ),
            id="block band",
        ),
        pytest.param(
            Mask(
                "block_band(4, 1) | q < 4 | k < 4 | block_map(4)",
                lambda b, h, q, k: bigbird(q, k, 4),
                {"blocks": RANDOM},
            ),
            id="BigBird",
        ),
        pytest.param(
            Mask(
                "block_map(4)",
                lambda b, h, q, k: bool(BLOCKS[h, q // 4, k // 4]),
                {"blocks": BLOCKS},
                *(Q, K, B, H),
            ),
            id="block map (VSA)",
        ),
        pytest.param(
            Mask(
                "block_map(4, 5)",
                lambda b, h, q, k: bool(BLOCKS[0, q // 4, k // 5]),
                {"blocks": BLOCKS[:1]},
                *(Q, K, B, H),
            ),
            id="block map of unequal blocks",
        ),
        pytest.param(
            Mask(
                "causal & (routed(4) | chunked(4))",
                lambda b, h, q, k: (
                    k <= q and (bool(ROUTES[b, h // 2, q, k // 4]) or q // 4 == k // 4)
                ),
                {"routes": ROUTES},
                *(Q, K, B, H, 2),
            ),
            id="selected blocks (MoBA)",
        ),
        pytest.param(
            Mask("block_diffusion(12, 5)", lambda b, h, q, k: block_diffusion(q, k, 12, 5), {}, 24),
            id="block diffusion",
        ),
        pytest.param(
            Mask(
                "same_bucket",
                lambda b, h, q, k: int(BUCKETS[b, h, q]) == int(BUCKETS[b, h, k]),
                {"bucket": BUCKETS},
                *(Q, K, B, H),
            ),
            id="LSH buckets per batch and head",
        ),
        pytest.param(
            Mask(
                "causal & same_bucket",
                lambda b, h, q, k: k <= q and int(BUCKETS[0, 0, q]) == int(BUCKETS[0, 0, k]),
                {"bucket": SHARED_BUCKETS},
                *(Q, K, B, H),
            ),
            id="LSH buckets of all heads",
        ),
        pytest.param(
            Mask(
                "neighbours | q == k",
                lambda b, h, q, k: bool(EDGES[q, k]) or q == k,
                {"adjacent": EDGES},
                *(Q, K),
            ),
            id="graph neighbours",
        ),
        pytest.param(
            Mask(
                "explicit",
                lambda b, h, q, k: bool(ALLOWED[b, h, q, k]),
                {"allowed": ALLOWED},
                *(Q, K, B, H),
            ),
            id="explicit",
        ),
        pytest.param(
            Mask(
                "input importance: float\ntopk(importance[kv_head, k], 5, where = causal)",
                lambda b, h, q, k: k in best(b, h // 2, list(range(q + 1)), 5),
                {"importance": IMPORTANCE},
                *(Q, K, B, H, 2),
            ),
            id="top keys of each query",
        ),
        pytest.param(
            Mask(
                "input importance: float\ntopk(importance[kv_head, k], 5) & causal",
                lambda b, h, q, k: k <= q and k in best(b, h // 2, list(range(K)), 5),
                {"importance": IMPORTANCE},
                *(Q, K, B, H, 2),
            ),
            id="top keys of all queries",
        ),
        pytest.param(
            Mask(
                "input importance: float\nimportance[kv_head, k] > 0 & causal",
                lambda b, h, q, k: k <= q and float(IMPORTANCE[b, h // 2, k]) > 0,
                {"importance": IMPORTANCE},
                *(Q, K, B, H, 2),
            ),
            id="relu",
        ),
        pytest.param(
            Mask(
                "input block_score: float\ntopk(block_score[q // 4, k // 4], 8)",
                lambda b, h, q, k: k // 4 in BLOCK_SCORES[q // 4, :7].argsort(descending=True)[:2],
                {"block_score": BLOCK_SCORES},
                *(Q, 28),
            ),
            id="top blocks",
        ),
    ],
)
def test_masks(mask: Mask) -> None:
    mask.check()
