"""One decoder, many masks: every backend gives the reference's logits, whole or token by token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from examples.decoder import train
from examples.decoder.data import packed
from examples.decoder.model import Config, Decoder, loss_of

ROWS, LENGTH = 2, 48
CONFIG = Config.read(Path(train.CONFIG))
SMALL = replace(CONFIG, layers=2)
MASKS = {
    "packed documents": "causal & same_doc",
    "windows in one layer": "param layer: int\ncausal & where(layer == 0, window(7), true)",
    "images": "causal & same_doc & image_scope | same_image",
    "softcap": "causal & same_doc; score = softcap(score, 2.0)",
    "clipped heads": "input limit: float\ncausal; score = clip(score, limit[head])",
    "documents in one layer": "param layer: int\ncausal & where(layer == 0, true, same_doc)",
}


def model_of(mask: str, backend: str) -> Decoder:
    torch.manual_seed(0)
    model = Decoder(replace(SMALL, mask=MASKS[mask], attention_impl=backend))
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.to_q.weight.mul_(8)  # scores that a cap or a clip changes
    return model


def inputs_of(mask: str) -> dict[str, Tensor]:
    """Return tensors for the inputs that the mask mentions."""
    places = torch.arange(LENGTH)
    known = {
        "same_doc": {"doc": torch.stack([places // 17, places // 31])},
        "image": {
            "image_id": torch.where((places % 20 < 6) & (places < 40), places // 20, -1),
            "scope_start": torch.tensor([0, 20]),
            "scope_end": torch.tensor([26, LENGTH]),
        },
        "limit": {"limit": torch.linspace(0.1, 2.0, CONFIG.heads)},
    }
    return {
        name: x for word, group in known.items() if word in MASKS[mask] for name, x in group.items()
    }


def tokens() -> Tensor:
    return torch.randint(
        0, CONFIG.vocab, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1)
    )


def logits_of(model: Decoder, mask: str) -> Tensor:
    bounds = model.bind(LENGTH, ROWS, **inputs_of(mask))
    return model(tokens(), bounds)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("backend", ["sdpa", pytest.param("flex", marks=pytest.mark.compiled)])
def test_the_backend_does_not_matter(backend: str, mask: str) -> None:
    with torch.no_grad():
        expected = logits_of(model_of(mask, "reference"), mask)
        found = logits_of(model_of(mask, backend), mask)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mask", MASKS)
def test_every_mask_trains_on_cpu(mask: str) -> None:
    found, expected = (model_of(mask, backend) for backend in ("sdpa", "reference"))
    for model in (found, expected):
        logits_of(model, mask).square().mean().backward()
    for (name, ours), theirs in zip(found.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "chunks", [[48], [28, 20], [30, *[1] * 18]], ids=["prefill", "chunked prefill", "decode"]
)
def test_a_cache_gives_the_logits_of_the_whole(mask: str, chunks: list[int]) -> None:
    model = model_of(mask, "sdpa")
    found = model.decode(tokens(), chunks, **inputs_of(mask))
    torch.testing.assert_close(found, logits_of(model, mask), atol=1e-4, rtol=0)


@pytest.mark.compiled
def test_flex_decodes_from_a_cache() -> None:
    mask = "packed documents"
    model = model_of(mask, "flex")
    found = model.decode(tokens(), [45, 1, 1, 1], **inputs_of(mask))
    expected = logits_of(model_of(mask, "reference"), mask)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_equal_layers_share_one_mask() -> None:
    bounds = Decoder(CONFIG).bind(LENGTH, ROWS, doc=inputs_of("packed documents")["doc"])
    assert len(bounds) == CONFIG.layers
    assert len({id(bound) for bound in bounds}) == 2
    assert bounds[0] is bounds[2]


def test_documents_do_not_see_each_other() -> None:
    model = model_of("packed documents", "sdpa")
    text, doc = tokens(), inputs_of("packed documents")["doc"]
    whole = logits_of(model, "packed documents")
    alone = model(text[:1, :17], model.bind(17, 1, doc=doc[:1, :17]))
    torch.testing.assert_close(whole[:1, :17], alone, atol=1e-4, rtol=0)


def test_it_learns() -> None:
    torch.manual_seed(0)
    model = Decoder(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(25):
        loss = loss_of(model, *packed(CONFIG.vocab, 4, 96, seed=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 4.0
    assert losses[-1] < 3.0
