"""Any program's own generated callable traces back to a program with the same meaning."""

from __future__ import annotations

import torch
from calls import rows_of
from environments import environments
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, scores

import maskc
from maskc.ir.nodes import Expr
from maskc.lower.codegen.mods import mask_mod, score_mod
from maskc.testing.matches import dense_score


@given(st.data(), masks())
def test_a_mask_that_was_generated_is_traced_back(data: st.DataObject, mask: Expr) -> None:
    case = data.draw(environments(mask))
    mod = mask_mod(*rows_of(mask, case)).function
    sizes = {name: size for name, size in case.sizes.items() if name != "num_kv_heads"}
    traced = maskc.trace(mod, sizes=sizes)
    found = traced.bind(**sizes).dense_mask()
    wanted = case.matrix(mask)
    assert torch.equal(found.expand(wanted.shape), wanted)
    written = maskc.compile_mask(traced.text())
    assert written == traced.program or written.equivalent(traced.program).equal is not False


@given(st.data(), scores())
def test_a_score_that_was_generated_is_traced_back(data: st.DataObject, score: Expr) -> None:
    case = data.draw(environments(score))
    mod = score_mod(*rows_of(score, case)).function
    sizes = {name: size for name, size in case.sizes.items() if name != "num_kv_heads"}
    bound = maskc.trace(score_mod=mod, sizes=sizes).bind(**sizes)
    shape = (case.batch_size, case.num_heads, case.q_len, case.kv_len)
    old = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    new = old if bound.score_mod is None else dense_score(bound.score_mod, old)
    new = torch.where(bound.dense_mask(), new, -torch.inf)
    torch.testing.assert_close(new.double(), case.matrix(score, old), rtol=1e-4, atol=1e-4)
