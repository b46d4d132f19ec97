"""What a program and a binding tell about themselves, whole, as a person reads it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import Words, masks

import maskc
from maskc.explain.visibility import _module, empty_rows, looks_ahead
from maskc.ir.evaluate import evaluate
from maskc.ir.nodes import Expr
from maskc.passes.meanings import MEANINGS
from maskc.passes.support.driver import PASSES, WHOLE, simplify
from maskc.topics import describe_bytes

FIXTURES = Path(__file__).parents[1] / "fixtures" / "explain"
PROGRAMS = {
    "full": "full",
    "softcap": "causal & same_doc & window(512); score = softcap(score, 30)",
    "line": "param n = 4\nvalid_keys & chunked(n)\nscore = (score + alibi) * 2 - score * 0.5",
    "grid": "axis h = 4, w = 4; abs(q.h - k.h) < 2; score = score + relpos(h, w)",
    "sink": "causal; input sink: float; out = out * sigmoid(lse - sink[head])",
    "layers": "param layer: int; causal & where(layer % 2 == 0, window(4), true)",
}


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.mask"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_explains_itself(path: Path) -> None:
    program = maskc.load(path)
    assert program.explain().endswith(program.digest)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, golden: Callable[[Path, str], None]) -> None:
    found = maskc.compile_mask(PROGRAMS[name]).explain()
    golden(FIXTURES / f"{name}.txt", found + "\n")


def bound(text: str, **inputs: object) -> maskc.Bound:
    program = maskc.compile_mask(text)
    return program.bind(q_len=1000, batch_size=2, num_heads=4, num_kv_heads=2, **inputs)


def test_calls(golden: Callable[[Path, str], None]) -> None:
    doc = torch.arange(1000) // 300
    found = [
        bound("full"),
        bound("causal"),
        bound("causal & same_doc", doc=doc),
        bound("window(64); score = softcap(score, 30)"),
        bound("causal; score = score + alibi"),
    ]
    golden(FIXTURES / "calls.txt", "\n\n".join(each.explain() for each in found) + "\n")


def test_a_call_is_told_what_it_leaves_of_the_mask() -> None:
    explained = bound("causal & window(4096)").explain()
    assert "here         in this call the mask is `k <= q`" in explained
    assert "sdpa         attn_mask=None, is_causal=True; no memory" in explained
    assert "here" not in bound("causal & window(64)").explain()


def test_a_call_is_told_what_takes_long() -> None:
    program = maskc.compile_mask("k != q")  # dense, so that no bands are taken
    assert "takes long" not in program.bind(q_len=1000).explain()
    assert "takes long   the first call of a shape compiles" in program.bind(q_len=9000).explain()
    large = maskc.compile_mask("k != q & k != q + 2 & k != q + 5").bind(q_len=4000)
    assert "takes long   the mask tensor, about 0." in large.explain()


def test_a_call_is_told_of_the_tensors_at_hand() -> None:
    late = bound("causal; score = score + alibi")
    assert "auto" not in late.explain()
    told = late.explain(slopes=torch.ones(4))
    assert "a float attn_mask, 15.26 MiB" in told
    q, k = (torch.zeros(2, heads, 1000, 8, dtype=torch.float64) for heads in (4, 2))
    assert "a float attn_mask, 30.52 MiB" in late.explain(q, k, k, slopes=torch.ones(4))
    with pytest.raises(maskc.BindError, match="q has shape"):
        late.explain(q[:, :, :5], k, k)


def test_advice_is_told_where_there_is_some() -> None:
    small = bound("window(16)").explain().splitlines()[-1]
    assert small == (
        "advice       22 of the 22 tiles that are computed are partial: "
        "block_size=32 leaves 28% of the work"
    )
    counts = bound("window(16)", block_size=32).tiles
    assert counts.full + counts.partial == 94  # of 32 x 32, where 22 of 128 x 128 are 352 of them
    assert "advice" not in bound("window(16)", block_size=32).explain()
    assert "advice" not in bound("causal").explain()
    doc = torch.arange(1000) % 7
    told = bound("causal & same_doc", doc=doc).explain().splitlines()[-1]
    assert told.startswith("advice       the ids of `doc` are not side by side: sort the tokens")
    order = doc.argsort(stable=True)
    moved = {"q_positions": order, "kv_positions": order}
    before, after = (bound("same_doc", doc=doc, **more).tiles for more in ({}, moved))
    assert (before.empty, after.empty > 30) == (0, True)
    assert "side by side: sort" not in bound("same_doc", doc=doc, **moved).explain()


def test_the_answer_needs_nothing_else_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [maskc.compile_mask(text).explain() for text in PROGRAMS.values()]
    monkeypatch.setitem(sys.modules, "z3", None)
    assert [maskc.compile_mask(text).explain() for text in PROGRAMS.values()] == found


def test_a_call_is_told_when_flex_has_no_kernel_for_it() -> None:
    told = bound("causal")
    q, k = (torch.zeros(2, heads, 1000, 8) for heads in (4, 2))
    assert "with `return_lse=True` it runs uncompiled" in told.explain(q, k, k)
    assert "runs uncompiled here, with dense scores" in told.explain(
        *(x.double() for x in (q, k, k))
    )
    assert "refuses the call: flex_attention has no backward on CPU" in told.explain(
        q.requires_grad_(), k, k
    )


def test_every_law_has_a_meaning_of_one_line() -> None:
    for law in (*PASSES, *WHOLE):
        assert 20 < len(MEANINGS[law.__name__]) < 100


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 bytes"), (1536, "1.5 KiB"), (2**20, "1 MiB"), (2**41, "2048 GiB")]
)
def test_bytes(size: int, expected: str) -> None:
    assert describe_bytes(size) == expected


@pytest.mark.parametrize(
    ("text", "ahead", "empty"),
    [
        ("causal", "never", "never: every query sees key 0"),
        ("causal & window(4)", "never", "never in self-attention: every query sees itself"),
        ("full", "possible: q = 0 sees k = 1", "never"),
        ("false", "never", "always: no query has a key"),
        ("k < q", "never", "possible: q = 0 of 1 tokens has no key"),
        ("k > q + 2", "possible: q = 0 sees k = 3", "possible: q = 0 of 1 tokens has no key"),
        ("causal_lower_right", "possible: q = 0 sees k = 1 (kv_len = 2, q_len = 1)", "never in"),
        ("same_doc & causal", "never", "never in self-attention: every query sees itself"),
        (
            "valid_keys",
            "possible: q = 0 sees k = 1 (valid[1] = true)",
            "possible: q = 0 of 1 tokens has no key (valid[0] = false)",
        ),
        (
            "axis h = 4, w = 8; k.h >= 0 & q.h == k.h",
            "possible: q = 0 sees k = 1",
            "possible: q = 32 of 33 tokens has no key",
        ),
        ("input t: float; topk(t[k], 3, where = causal)", "never", "never: every query sees key 0"),
    ],
)
def test_what_a_query_sees(text: str, ahead: str, empty: str) -> None:
    mask = maskc.compile_mask(text).module.mask
    assert looks_ahead(mask).startswith(ahead)
    assert empty_rows(mask).startswith(empty)


@settings(max_examples=examples(40))
@given(data=st.data(), drawn=masks(depth=2, words=Words(axes=())))
def test_what_is_never_is_never(data: st.DataObject, drawn: Expr) -> None:
    mask = simplify(_module(drawn)).module.mask
    case: Case = data.draw(environments(mask))
    points = list(case.points())
    if looks_ahead(mask) == "never":
        assert not any(evaluate(mask, p, case.env()) for p in points if p.kv_idx > p.q_idx)
    found = empty_rows(mask)
    if found == "never" or found.startswith("never:"):
        held = {(p.batch, p.head, p.q_idx) for p in points if evaluate(mask, p, case.env())}
        assert held == {(p.batch, p.head, p.q_idx) for p in points}
