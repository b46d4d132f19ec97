"""A step of decoding is told from the last one of its layer, whoever decodes with the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

LIMIT = 2e-5


@dataclass
class Stream:
    """A sequence that is decoded: its caches, by implementation, and the padding of its rows."""

    rows: int
    padding: int
    caches: dict[str, Any]
    tokens: int = 0
    first: int = 0
    """A slot that is taken for padding from some step on."""

    def mask(self, more: int) -> Tensor | None:
        if not self.padding:
            return None
        mask = torch.ones(self.rows, self.tokens + more, dtype=torch.long)
        mask[-1, : self.padding] = 0
        mask[0, : self.first] = 0
        return mask


def logits(model: Any, stream: Stream, ids: Tensor) -> dict[str, Tensor]:
    """Return what each implementation gives for the next tokens of a stream."""
    from maskc.integrations.transformers.implementation import using

    found = {}
    for name, cache in stream.caches.items():
        with using(model, name), torch.no_grad():
            mask = stream.mask(ids.shape[1])
            found[name] = model(ids, attention_mask=mask, past_key_values=cache).logits[:, -1]
    stream.tokens += ids.shape[1]
    return found


def streams(model: Any) -> list[Stream]:
    from transformers import DynamicCache

    def caches() -> dict[str, Any]:
        return {name: DynamicCache(config=model.config) for name in ("eager", "maskc")}

    return [Stream(2, 0, caches()), Stream(2, 3, caches()), Stream(3, 2, caches())]


def assert_alike(family: str) -> None:
    from like_eager import small_model

    model = small_model("CausalLM", family)
    model.eval()
    random = torch.Generator().manual_seed(0)
    each = streams(model)
    for step in range(14):
        for place, stream in enumerate(each):
            count = (9 + place) if not stream.tokens else 1
            if step == 6:
                stream.first = min(stream.padding, 1)
            ids = torch.randint(1, 90, (stream.rows, count), generator=random)
            found = logits(model, stream, ids)
            error = (found["maskc"] - found["eager"]).abs().max()
            assert error <= LIMIT * found["eager"].abs().max(), (step, place, error)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_streams_in_turn(family: str) -> None:
    assert_alike(family)


@pytest.mark.planted
@pytest.mark.parametrize("what", ["inputs", "sizes"])
def test_planted_faults_are_seen(what: str) -> None:
    from maskc.integrations.transformers.forward import binding

    real = binding._next_step

    def stale(last: Any, program: Any, parts: Any, call: Any) -> Any:
        if what == "inputs" and last.call == call._replace(kv_len=call.kv_len - 1):
            return last.bound.at(q_len=1, kv_len=call.kv_len, **parts.positions)
        return real(last, program, parts, call)

    fault: Any = {
        "inputs": mock.patch.object(binding, "_next_step", stale),
        "sizes": mock.patch.object(binding, "_is_same", return_value=True),
    }[what]
    with fault, pytest.raises((AssertionError, ValueError, RuntimeError)):
        assert_alike("llama")
