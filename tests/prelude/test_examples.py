"""The masks of the programs in ``examples/``, against rules written by hand."""

from itertools import product
from pathlib import Path

import pytest
import torch
from by_hand import Mask, Rule, ids

EXAMPLES = Path(__file__).parents[2] / "examples"
GENERATOR = torch.Generator().manual_seed(2)
N = 41
DOC = ids(9, 1, 17, 14)
PROMPT = [t in (0, 1, 2, 9, 10, 11, 12, 27) for t in range(N)]
BRANCH = [(t * 7 // 5) % 3 for t in range(N)]
GLOBAL = [t in (0, 30) for t in range(N)]
IMAGE = [0 if 3 <= t < 9 else 1 if 15 <= t < 20 else -1 for t in range(N)]
SCOPES = [(3, 9), (12, 26)]
SEEN = [sum(t >= start for start in (4, 11, 30)) for t in range(N)]
WIDTH = [3, 12]
BLOCKS = torch.rand(1, 6, 6, generator=GENERATOR) < 0.2
ROUTES = torch.rand(1, N, 6, generator=GENERATOR) < 0.2
IMPORTANCE = torch.randn(1, N, generator=GENERATOR)
BLOCK_SCORE = torch.randn(3, 3, generator=GENERATOR)
VIDEO = list(product(range(4), range(8), range(8)))
CUBE = list(product(range(6), range(6), range(6)))
LAYERS = [0, 1, 3, 5]


def example(
    name: str,
    rule: Rule,
    inputs: dict[str, object] | None = None,
    heads: int = 1,
    q_len: int = N,
    kv_len: int | None = None,
    **constants: int,
) -> object:
    text = (EXAMPLES / f"{name}.mask").read_text(encoding="utf-8")
    mask = Mask(text, rule, inputs or {}, q_len, kv_len, heads=heads, constants=constants)
    return pytest.param(mask, id="-".join([name, *map(str, constants.values())]))


def near(own: int, other: int, size: int, n: int) -> bool:
    """Tell whether ``other`` is of the ``n`` (odd) tokens around ``own``, moved inwards."""
    first = min(max(own - n // 2, 0), size - n)
    return first <= other < first + n


def shifted(token: int, shift: int) -> tuple[int, ...]:
    """Return the number of the window along each axis: its edges lie at ``shift + 4 i``."""
    edges = range(shift, 12, 4)
    return tuple(sum(x >= edge for edge in edges) for x in divmod(token, 12))


def top(allowed: list[int], n: int) -> list[int]:
    return sorted(allowed, key=lambda key: -float(IMPORTANCE[0, key]))[:n]


@pytest.mark.parametrize(
    "mask",
    [
        *(
            example(
                "gemma2",
                lambda b, h, q, k, local=layer % 2 == 0: k <= q and (q - k < 6 or not local),
                layer=layer,
                width=6,
            )
            for layer in LAYERS
        ),
        *(
            example(
                "gemma3",
                lambda b, h, q, k, local=layer != 5: (
                    (k <= q and (q - k < 6 or not local)) or IMAGE[q] == IMAGE[k] != -1
                ),
                {"image_id": torch.tensor(IMAGE)},
                layer=layer,
                width=6,
            )
            for layer in LAYERS
        ),
        *(
            example(
                "llama4",
                lambda b, h, q, k, local=layer != 3: (
                    5 <= k <= q and (not local or (q - 5) // 8 == (k - 5) // 8)
                ),
                {"pad_len": torch.tensor([5])},
                layer=layer,
                size=8,
            )
            for layer in LAYERS
        ),
        example("streaming", lambda b, h, q, k: k <= q and (k < 3 or q - k < 7), kept=3, recent=7),
        example(
            "longformer",
            lambda b, h, q, k: (
                (abs(q - k) < 5 if h == 0 else q - k in range(-8, 9, 2)) or GLOBAL[q] or GLOBAL[k]
            ),
            {"is_global": torch.tensor(GLOBAL)},
            heads=2,
            width=5,
        ),
        example(
            "bigbird",
            lambda b, h, q, k: (
                abs(q // 8 - k // 8) <= 1 or min(q, k) < 8 or bool(BLOCKS[0, q // 8, k // 8])
            ),
            {"blocks": BLOCKS},
            size=8,
        ),
        example(
            "heads",
            lambda b, h, q, k: k <= q and (q - k < WIDTH[h] or (h == 0 and k < 4)),
            {"width": torch.tensor(WIDTH)},
            heads=2,
        ),
        example(
            "prefix_lm",
            lambda b, h, q, k: DOC[q] == DOC[k] and (k <= q or (PROMPT[q] and PROMPT[k])),
            {"doc": torch.tensor(DOC), "prompt": torch.tensor(PROMPT)},
        ),
        example(
            "shared_question",
            lambda b, h, q, k: k <= q and DOC[q] == DOC[k] and BRANCH[k] in (0, BRANCH[q]),
            {"doc": torch.tensor(DOC), "branch": torch.tensor(BRANCH)},
        ),
        example(
            "multi_image",
            lambda b, h, q, k: (
                IMAGE[q] == IMAGE[k] >= 0
                or (k <= q and DOC[q] == DOC[k] and (IMAGE[k] < 0 or q in range(*SCOPES[IMAGE[k]])))
            ),
            {
                "doc": torch.tensor(DOC),
                "image_id": torch.tensor(IMAGE),
                "scope_start": torch.tensor([3, 12]),
                "scope_end": torch.tensor([9, 26]),
            },
        ),
        example(
            "flamingo",
            lambda b, h, q, k: SEEN[q] > 0 and k // 7 == SEEN[q] - 1,
            {"images_seen": torch.tensor(SEEN)},
            kv_len=21,
            tokens=7,
        ),
        example(
            "moba",
            lambda b, h, q, k: k <= q and (q // 7 == k // 7 or bool(ROUTES[0, q, k // 7])),
            {"routes": ROUTES},
            size=7,
        ),
        example(
            "natten",
            lambda b, h, q, k: near(q // 16, k // 16, 16, 7) and near(q % 16, k % 16, 16, 7),
            q_len=256,
        ),
        example(
            "natten_video",
            lambda b, h, q, k: (
                VIDEO[k][0] in (VIDEO[q][0] - 1, VIDEO[q][0])
                and all(
                    VIDEO[q][axis] % 2 == VIDEO[k][axis] % 2
                    and near(VIDEO[q][axis] // 2, VIDEO[k][axis] // 2, 4, 3)
                    for axis in (1, 2)
                )
            ),
            q_len=256,
        ),
        example(
            "sliding_tile",
            lambda b, h, q, k: (
                VIDEO[q][0] // 2 == VIDEO[k][0] // 2 and VIDEO[q][1] // 4 == VIDEO[k][1] // 4
            ),
            q_len=256,
        ),
        example(
            "sparse_videogen",
            lambda b, h, q, k: (
                CUBE[k][0] == 0
                or (abs(CUBE[q][0] - CUBE[k][0]) < 2 if h == 0 else CUBE[q][1:] == CUBE[k][1:])
            ),
            {"spatial": torch.tensor([True, False])},
            heads=2,
            q_len=216,
        ),
        *(
            example(
                "swin",
                lambda b, h, q, k, shift=shift: shifted(q, shift) == shifted(k, shift),
                {"table": torch.zeros(1, 7, 7)},
                q_len=144,
                shift=shift,
            )
            for shift in (0, 1, 2)
        ),
        example(
            "axial",
            lambda b, h, q, k: q // 12 == k // 12 if h == 0 else q % 12 == k % 12,
            heads=2,
            q_len=144,
        ),
        example(
            "top_keys",
            lambda b, h, q, k: k in top(list(range(q + 1)), 6),
            {"importance": IMPORTANCE},
            n=6,
        ),
        example(
            "relu_selection",
            lambda b, h, q, k: k <= q and float(IMPORTANCE[0, k]) > 0,
            {"importance": IMPORTANCE},
        ),
        example(
            "top_blocks",
            lambda b, h, q, k: k // 64 in BLOCK_SCORE[q // 64].argsort(descending=True)[:2],
            {"block_score": BLOCK_SCORE},
            q_len=192,
            n=2,
        ),
    ],
)
def test_masks(mask: Mask) -> None:
    mask.check()
