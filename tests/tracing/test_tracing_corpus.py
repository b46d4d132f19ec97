"""Callables of many projects: each traced and held against torch at every pair, or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from block_tables import assert_same_tables
from corpus import gym, hard, models, pytorch, structures
from corpus.cases import CASES, Case, Mod
from torch.nn.attention.flex_attention import create_block_mask

import maskc
from maskc.arity import takes_score
from maskc.testing.matches import dense_mask, dense_score

GOLDEN = Path(__file__).parents[1] / "fixtures" / "tracing"

FILES = (gym, hard, models, pytorch, structures)
"""Each takes its callables into the corpus when it is imported."""

TRACED = [case for case in CASES if case.refused is None]
REFUSED = [case for case in CASES if case.refused is not None]
MASKS = [case for case in TRACED if not takes_score(case.build())]
SCORES = [case for case in TRACED if takes_score(case.build())]


def named(case: Case) -> str:
    return case.name


def traced(case: Case) -> maskc.Traced:
    mod = case.build()
    kinds = {"score_mod": mod} if takes_score(mod) else {"mask_mod": mod}
    return maskc.trace(**kinds, sizes=case.sizes)


def plain(mod: Mod) -> Mod:
    """Return a function: torch takes no bound method."""
    return lambda b, h, q, k: mod(b, h, q, k)


def test_the_corpus_is_what_it_says() -> None:
    assert len(CASES) >= 100
    assert {case.build.__module__ for case in CASES} == {file.__name__ for file in FILES}
    assert len({case.project for case in CASES}) >= 15
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", MASKS, ids=named)
def test_a_mask_is_torch_s_at_every_pair(case: Case) -> None:
    found = traced(case).bind(**case.sizes).dense_mask()
    wanted = dense_mask(case.build(), case.shape, torch.device("cpu"))
    assert torch.equal(found.expand(case.shape), wanted.expand(case.shape))


@pytest.mark.parametrize("case", MASKS, ids=named)
def test_block_tables_are_torch_s(case: Case) -> None:
    mod = case.build()
    for blocks in (16, (8, 32)):
        found = maskc.create_block_mask(mod, *case.shape, "cpu", blocks, fallback="error")
        wanted = create_block_mask(plain(mod), *case.shape, "cpu", blocks)
        assert_same_tables(found, wanted)
        assert found.mask_mod is mod


@pytest.mark.parametrize("case", SCORES, ids=named)
def test_a_score_is_torch_s_at_every_pair(case: Case) -> None:
    scores = 3 * torch.randn(case.shape, generator=torch.Generator().manual_seed(1))
    bound = traced(case).bind(**case.sizes)
    found = scores if bound.score_mod is None else dense_score(bound.score_mod, scores)
    found = torch.where(bound.dense_mask(), found, -torch.inf)
    torch.testing.assert_close(found, dense_score(case.build(), scores), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", TRACED, ids=named)
def test_the_text_with_names_is_the_program(case: Case) -> None:
    found = traced(case)
    written = maskc.compile_mask(found.text(names=True))
    assert written == found.program
    assert maskc.compile_mask(found.text(names=False)) == found.program


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_a_refusal_shows_the_line_and_the_fix(case: Case) -> None:
    with pytest.raises(maskc.TraceError) as caught:
        traced(case)
    assert caught.value.code == case.refused
    assert caught.value.span is not None
    assert caught.value.help


def test_the_texts(golden: Callable[[Path, str], None]) -> None:
    parts = [
        f"# {case.name}: {case.project}, {case.source}\n{traced(case).text()}" for case in TRACED
    ]
    golden(GOLDEN / "texts.txt", "\n\n".join(parts) + "\n")


def test_the_refusals(golden: Callable[[Path, str], None]) -> None:
    texts = []
    for case in REFUSED:
        with pytest.raises(maskc.TraceError) as caught:
            traced(case)
        shown = re.sub(r"--> .*/", "--> ", str(caught.value))
        texts.append(f"# {case.name}\n{shown}")
    golden(GOLDEN / "refusals.txt", "\n\n".join(texts) + "\n")
