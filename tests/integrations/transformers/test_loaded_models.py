"""Configs that keep programs: what a model that is made of one runs, and what is said of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from maskc import MaskcError, MaskcWarning

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Any, Path]:
    """Return a model with a program, and where it is saved."""
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    model = attach(small_model("CausalLM", "llama"), "causal & window(3)")
    model.save_pretrained(tmp_path)
    return model, tmp_path


def loaded(path: Path, implementation: str, **changes: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path)
    for name, value in changes.items():
        setattr(config, name, value)
    keywords = {"config": config, "attn_implementation": implementation}
    return AutoModelForCausalLM.from_pretrained(path, **keywords).eval()


def logits(model: Any) -> torch.Tensor:
    from like_eager import text

    from maskc.integrations.transformers.feeds import run

    return run(model, {"input_ids": text()})


def test_a_program_that_was_warned_of_runs_when_maskc_is_taken(saved: tuple[Any, Path]) -> None:
    model, path = saved
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MaskcWarning)
        other = loaded(path, "sdpa")
    said = [one for one in caught if issubclass(one.category, MaskcWarning)]
    assert [one.message.code for one in said] == ["M707"]  # type: ignore[union-attr]
    assert not torch.allclose(logits(other), logits(model), atol=0.1)
    other.set_attn_implementation("maskc")
    assert torch.equal(logits(other), logits(model))


WRONG = [
    (7, "M906", "expected a program, a dict or a list of them, found int"),
    ("causal & widow(3)", "M303", "did you mean `window`?"),
    ({"sliding_attention": "causal"}, "M906", "no layers of kind `sliding_attention`"),
    (["causal"], "M906", "1 programs are given, and a layer has number 1"),
]


@pytest.mark.parametrize(("given", "code", "message"), WRONG)
def test_what_fits_no_model_is_refused_where_it_would_run(
    saved: tuple[Any, Path], given: Any, code: str, message: str
) -> None:
    with pytest.raises(MaskcError) as caught:
        loaded(saved[1], "maskc", maskc=given)
    assert caught.value.code == code
    assert message in str(caught.value)
    with pytest.warns(MaskcWarning, match="M707"):
        loaded(saved[1], "sdpa", maskc=given)
