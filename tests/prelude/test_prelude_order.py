"""Masks of order and distance, sinks, prefixes and padding, against rules written by hand."""

import pytest
import torch
from by_hand import Mask

Q, K, B, H = 23, 29, 2, 3
WIDTHS = [1, 4, 9]
TOKEN_WIDTHS = [1 + 5 * q % 11 for q in range(K)]
GLOBAL = [token in (0, 7, 21) for token in range(K)]
PREFIX = [3, 11]
PAD = [0, 6]
LENGTHS = [29, 17]
VALID = [[token < 20 for token in range(K)], [token % 3 > 0 for token in range(K)]]


def strided(q: int, k: int, n: int) -> bool:
    """Sparse Transformer, section 4.3: the set of keys of query ``q``, both heads' together."""
    near = range(max(0, q - n), q + 1)
    far = [j for j in range(q + 1) if (q - j) % n == 0]
    # The paper's first set begins n before the query, which the second set holds too.
    return k in near or k in far


def fixed(q: int, k: int, n: int, last: int) -> bool:
    """Sparse Transformer, section 4.3: the own block, and the last columns of every block."""
    own = [j for j in range(q + 1) if j // n == q // n]
    summary = [j for j in range(q + 1) if j % n in range(n - last, n)]
    return k in own or k in summary


def masks(**tables: Mask) -> list[object]:
    return [pytest.param(mask, id=name) for name, mask in tables.items()]


@pytest.mark.parametrize(
    "mask",
    masks(
        causal=Mask("causal", lambda b, h, q, k: k <= q, {}, Q, K),
        strictly_causal=Mask("strictly_causal", lambda b, h, q, k: k < q, {}, Q, K),
        causal_by_an_offset=Mask("lookahead(5)", lambda b, h, q, k: k - q <= 5, {}, Q, K),
        delayed=Mask("lookahead(-3)", lambda b, h, q, k: k <= q - 3, {}, Q, K),
        lower_right=Mask("causal_lower_right", lambda b, h, q, k: K - 1 - k >= Q - 1 - q, {}, Q, K),
        window=Mask("window(5)", lambda b, h, q, k: k in range(q - 4, q + 5), {}, Q, K),
        causal_window_has_n_keys=Mask(
            "causal & window(5)", lambda b, h, q, k: k in range(q - 4, q + 1), {}, Q, K
        ),
        window_left_and_right=Mask(
            "window(6, 2)", lambda b, h, q, k: k in range(q - 6, q + 3), {}, Q, K
        ),
        window_per_head=Mask(
            "input width: int\ncausal & window(width[head])",
            lambda b, h, q, k: k in range(q - WIDTHS[h] + 1, q + 1),
            {"width": torch.tensor(WIDTHS)},
            *(Q, K, B, H),
        ),
        window_per_token=Mask(
            "input width: int\nwindow(width[q])",
            lambda b, h, q, k: abs(q - k) < TOKEN_WIDTHS[q],
            {"width": torch.tensor(TOKEN_WIDTHS)},
            *(Q, K),
        ),
        dilated=Mask(
            "dilated(10, 3)", lambda b, h, q, k: k - q in (-9, -6, -3, 0, 3, 6, 9), {}, Q, K
        ),
        strided=Mask("strided(5)", lambda b, h, q, k: strided(q, k, 5), {}, Q, K),
        fixed=Mask("fixed(7, 2)", lambda b, h, q, k: fixed(q, k, 7, 2), {}, Q, K),
        fixed_by_default=Mask("fixed(6)", lambda b, h, q, k: fixed(q, k, 6, 1), {}, Q, K),
        sinks_and_window=Mask(
            "causal & (sinks(2) | window(4))",
            lambda b, h, q, k: k <= q and (k in (0, 1) or k > q - 4),
            *({}, Q, K),
        ),
        longformer=Mask(
            "global_tokens | window(3)",
            lambda b, h, q, k: GLOBAL[q] or GLOBAL[k] or abs(q - k) <= 2,
            {"is_global": torch.tensor(GLOBAL)},
            *(Q, K),
        ),
        prefix_per_batch=Mask(
            "causal | prefix",
            lambda b, h, q, k: k <= q or k in range(PREFIX[b]),
            {"prefix_len": torch.tensor(PREFIX)},
            *(Q, K, B),
        ),
        key_padding=Mask(
            "valid_keys",
            lambda b, h, q, k: VALID[b][k],
            {"valid": torch.tensor(VALID)},
            *(Q, K, B),
        ),
        query_padding=Mask(
            "valid_keys & valid_queries",
            lambda b, h, q, k: VALID[b][k] and VALID[b][q],
            {"valid": torch.tensor(VALID)},
            *(Q, K, B),
        ),
        left_padded=Mask(
            "causal & left_padded",
            lambda b, h, q, k: PAD[b] <= k <= q,
            {"pad_len": torch.tensor(PAD)},
            *(Q, K, B),
        ),
        right_padded=Mask(
            "right_padded",
            lambda b, h, q, k: k in range(LENGTHS[b]),
            {"key_len": torch.tensor(LENGTHS)},
            *(Q, K, B),
        ),
        head_mixture=Mask(
            "window(4) if head == 0 else (sinks(3) if head == 1 else causal)",
            lambda b, h, q, k: [abs(q - k) < 4, k < 3, k <= q][h],
            *({}, Q, K, B, H),
        ),
    ),
)
def test_masks(mask: Mask) -> None:
    mask.check()


def test_offsets_move_the_masks() -> None:
    """A chunk of queries sees the rows that the whole sequence gives it."""
    text = "causal & (sinks(2) | window(4))"
    whole = Mask(text, lambda b, h, q, k: True, {}, K).found()
    chunk = Mask(text, lambda b, h, q, k: True, {}, 7, K, bind={"q_offset": 11}).found()
    assert torch.equal(chunk, whole[:, :, 11:18])
