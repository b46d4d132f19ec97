"""Modules around a model: what is done to them is done to the model inside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from maskc import ModelError

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]

TEXT = "causal & window(3)"


class Adapter(nn.Module):
    """Hands on what it is given, as adapters do that change weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base = nn.ModuleDict({"model": model})

    def forward(self, *args: Any, **keywords: Any) -> Any:
        return self.base["model"](*args, **keywords)


@pytest.fixture(params=["adapter", "compiled", "parallel"])
def around(request: pytest.FixtureRequest) -> Any:
    return {
        "adapter": Adapter,
        "compiled": lambda model: torch.compile(model, backend="eager"),
        "parallel": nn.DataParallel,
    }[request.param]


def test_what_is_around_a_model_attends_as_the_model_does(around: Any) -> None:
    from like_eager import small_model, text

    from maskc.integrations.transformers import attach, check, detach, programs, report

    def logits(module: Any) -> torch.Tensor:
        with torch.no_grad():
            return module(text(), use_cache=False).logits

    model = small_model("CausalLM", "llama")
    own, wrapped = logits(model), around(model)
    torch.testing.assert_close(logits(wrapped), own)
    assert attach(wrapped, TEXT) is wrapped
    other = logits(attach(small_model("CausalLM", "llama"), TEXT))
    assert not torch.allclose(own, other, atol=0.1)
    torch.testing.assert_close(logits(wrapped), other)
    found = programs(wrapped)
    assert {program.text for program in found.values()} == {"0 <= q - k < 3"}
    assert all(type(wrapped.get_submodule(path)).__name__ == "LlamaAttention" for path in found)
    assert "0 <= q - k < 3" in report(wrapped)
    assert check(wrapped) > 0.1
    assert detach(wrapped) is wrapped
    torch.testing.assert_close(logits(wrapped), own)


def test_several_models_are_refused_by_their_names() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    pair = nn.ModuleList([small_model("CausalLM", "llama") for _ in range(2)])
    with pytest.raises(ModelError) as caught:
        attach(pair, TEXT)
    assert str(caught.value) == (
        "error[M901]: expected a model of transformers, found ModuleList around 2 of them\n"
        "    = help: give one: `model.0`, `model.1`"
    )


def test_threads_attach_to_models_of_their_own() -> None:
    """What one thread attaches and looks at is not what another does."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from like_eager import small_model

    from maskc.integrations.transformers import attach, programs

    models = [small_model("CausalLM", "llama") for _ in range(4)]
    together = Barrier(len(models))

    def texts(number: int) -> set[str]:
        together.wait()
        for _ in range(3):
            attach(models[number], f"causal & window({number + 2})")
        return {program.text for program in programs(models[number]).values()}

    with ThreadPoolExecutor(len(models)) as pool:
        found = list(pool.map(texts, range(len(models))))
    assert found == [{f"0 <= q - k < {number + 2}"} for number in range(len(models))]
