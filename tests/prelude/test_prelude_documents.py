"""Masks of packed documents, images, and drafts, against rules written by hand."""

import pytest
import torch
from by_hand import Mask, ids

from maskc.integrations.inputs import (
    ancestors,
    doc_ids_from_cu_seqlens,
    doc_ids_from_lengths,
    positions_in_document,
    spans,
)

LENGTHS = [5, 1, 9, 8]
DOC = ids(*LENGTHS)
SHUFFLED = [[2, 0, 2, 1, 1, 0, 2, 5, 0, 1, 5, 2, 0], [0] * 6 + [7] * 7]
PREFIXES = [2, 0, 4, 8]
BRANCH = [*([0] * 2 + [1] * 3), 0, *([0] * 4 + [1] * 2 + [2] * 3), *([0] * 8)]
IMAGE = [-1, -1, 0, 0, 0, -1, 1, 1, -1, -1, 2, 2, 2, -1, -1, -1, -1, 3, 3, -1, -1, -1, -1]
SCOPES = [(2, 9), (6, 23), (10, 14), (17, 17)]
MEDIA = [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3]
PARENTS = [-1, 0, 0, 1, 1, 2, 5]
CACHED = 6


def starts(lengths: list[int]) -> list[int]:
    return [sum(lengths[:i]) for i in range(len(lengths))]


def place(token: int) -> int:
    """Return the position of a token in its document."""
    return token - starts(LENGTHS)[DOC[token]]


def later(batch: int, token: int) -> int:
    """Return the position of a token in a document that is stored back to front."""
    row = SHUFFLED[batch]
    return sum(doc == row[token] for doc in row[token + 1 :])


def leads(old: int, token: int) -> bool:
    """Tell whether drafted token ``old`` lies on the way from the root to ``token``."""
    while token not in (old, -1):
        token = PARENTS[token]
    return token == old


@pytest.mark.parametrize(
    "doc",
    [
        torch.tensor(DOC),
        doc_ids_from_lengths(LENGTHS),
        doc_ids_from_cu_seqlens(torch.tensor([0, 5, 6, 15, 23])),
        torch.tensor(DOC) * -3 + 1,
    ],
    ids=["ids", "lengths", "cu_seqlens", "any numbers"],
)
def test_documents(doc: torch.Tensor) -> None:
    ends = [sum(LENGTHS[: i + 1]) for i in range(len(LENGTHS))]

    def rule(batch: int, head: int, q: int, k: int) -> bool:
        return k <= q and all(not (k < end <= q) for end in ends)

    Mask("causal & same_doc", rule, {"doc": doc}).check()


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(
            Mask(
                "doc_causal",
                lambda b, h, q, k: SHUFFLED[b][q] == SHUFFLED[b][k] and later(b, k) <= later(b, q),
                {
                    "doc": torch.tensor(SHUFFLED),
                    "position": positions_in_document(torch.tensor(SHUFFLED).flip(-1)).flip(-1),
                },
                q_len=13,
                batch=2,
            ),
            id="causal in scattered documents, stored back to front",
        ),
        pytest.param(
            Mask(
                "same_doc & window(4) & chunked(3, 1)",
                lambda b, h, q, k: (
                    DOC[q] == DOC[k] and abs(q - k) < 4 and (q + 2) // 3 == (k + 2) // 3
                ),
                {"doc": torch.tensor(DOC)},
            ),
            id="windows and chunks in documents",
        ),
        pytest.param(
            Mask(
                "same_doc & position[q] // 4 == position[k] // 4",
                lambda b, h, q, k: DOC[q] == DOC[k] and place(q) // 4 == place(k) // 4,
                {
                    "doc": torch.tensor(DOC),
                    "position": torch.tensor([place(t) for t in range(23)]),
                },
            ),
            id="chunks by positions in the document",
        ),
        pytest.param(
            Mask(
                "same_doc & causal | doc_prefix",
                lambda b, h, q, k: DOC[q] == DOC[k] and (k <= q or place(k) < PREFIXES[DOC[k]]),
                {
                    "doc": torch.tensor(DOC),
                    "position": positions_in_document(torch.tensor(DOC)),
                    "doc_prefix_len": torch.tensor(PREFIXES),
                },
            ),
            id="prefix LM per document",
        ),
        pytest.param(
            Mask(
                "causal & same_doc & same_branch",
                lambda b, h, q, k: k <= q and DOC[q] == DOC[k] and BRANCH[k] in (0, BRANCH[q]),
                {"doc": torch.tensor(DOC), "branch": torch.tensor(BRANCH)},
            ),
            id="shared question",
        ),
        pytest.param(
            Mask(
                "causal & (same_doc | doc[k] == 0)",
                lambda b, h, q, k: k <= q and (DOC[k] == DOC[q] or k < LENGTHS[0]),
                {"doc": torch.tensor(DOC)},
            ),
            id="shared prefix",
        ),
        pytest.param(
            Mask(
                "causal | same_image",
                lambda b, h, q, k: k <= q or (IMAGE[q] >= 0 and IMAGE[q] == IMAGE[k]),
                {"image_id": torch.tensor(IMAGE)},
            ),
            id="bidirectional images",
        ),
        pytest.param(
            Mask(
                "input first: int; input last: int; causal | span(first, last)",
                lambda b, h, q, k: k <= q or (IMAGE[q] >= 0 and IMAGE[q] == IMAGE[k]),
                dict(zip(["first", "last"], spans(torch.tensor(IMAGE)), strict=True)),
            ),
            id="bidirectional images by their spans",
        ),
        pytest.param(
            Mask(
                "causal & image_scope",
                lambda b, h, q, k: k <= q and (IMAGE[k] == -1 or q in range(*SCOPES[IMAGE[k]])),
                {
                    "image_id": torch.tensor(IMAGE),
                    "scope_start": torch.tensor([first for first, _ in SCOPES]),
                    "scope_end": torch.tensor([last for _, last in SCOPES]),
                },
            ),
            id="multi-image scopes",
        ),
        pytest.param(
            Mask(
                "last_image(5)",
                lambda b, h, q, k: MEDIA[q] > 0 and k in range(5 * (MEDIA[q] - 1), 5 * MEDIA[q]),
                {"images_seen": torch.tensor(MEDIA)},
                q_len=13,
                kv_len=15,
            ),
            id="Flamingo",
        ),
        pytest.param(
            Mask(
                "tree",
                lambda b, h, q, k: k < CACHED or leads(k - CACHED, q),
                {"ancestor": ancestors(PARENTS)},
                q_len=7,
                kv_len=CACHED + 7,
                bind={"q_offset": CACHED},
            ),
            id="tree verification",
        ),
        pytest.param(
            Mask(
                "eagle3",
                lambda b, h, q, k: k <= q if k < 11 else k in (q + 11, q + 22),
                q_len=11,
                kv_len=33,
            ),
            id="EAGLE-3",
        ),
    ],
)
def test_masks(mask: Mask) -> None:
    mask.check()


def test_documents_of_cross_attention() -> None:
    q_doc, k_doc = ids(3, 4), ids(5, 1, 3)
    mask = Mask(
        "same_doc",
        lambda b, h, q, k: q_doc[q] == k_doc[k],
        {"doc": (torch.tensor(q_doc), torch.tensor(k_doc))},
        q_len=7,
        kv_len=9,
    )
    mask.check()
