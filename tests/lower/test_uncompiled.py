"""Dense scores never come unseen: who asked for FlexAttention is told when nothing compiles it."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.attention.flex_attention import flex_attention

import maskc
from maskc.lower import flex, uncompiled

PROGRAM = maskc.compile_mask("causal & same_doc; score = softcap(score, 20)")


def bound_of(length: int) -> maskc.Bound:
    return PROGRAM.bind(q_len=length, num_heads=2, doc=torch.arange(length) % 3)


def qkv(length: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.randn(1, 2, length, 24, dtype=dtype) for _ in range(3)]


def warned(found: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in found if one.category is maskc.DenseScoresWarning]


def test_parts_that_torch_runs_uncompiled() -> None:
    torch.compiler.reset()
    with pytest.warns(maskc.DenseScoresWarning, match="nothing compiles its caller"):
        flex_attention(*qkv(9), **bound_of(9).flex_args())


@pytest.mark.compiled
def test_a_caller_that_torch_gave_up_compiling() -> None:
    torch.compiler.reset()

    @torch.compile(dynamic=False, backend="aot_eager")
    def attend(q, k, v, args):
        return flex_attention(q, k, v, **args)

    with torch._dynamo.config.patch(recompile_limit=2):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            for length in (9, 10):
                attend(*qkv(length), bound_of(length).flex_args())
        assert not warned(found)
        with pytest.warns(maskc.DenseScoresWarning, match="fullgraph=True"):
            attend(*qkv(11), bound_of(11).flex_args())


@pytest.mark.compiled
def test_a_call_in_a_caller_that_torch_gave_up_compiling_is_compiled_by_itself(monkeypatch) -> None:
    torch.compiler.reset()
    compiled = torch.compile(flex._attention, fullgraph=True, dynamic=False, backend="aot_eager")
    lengths = []

    def counted(q, *rest, **args):
        lengths.append(q.shape[2])
        return compiled(q, *rest, **args)

    monkeypatch.setattr(flex, "_compiled", lambda static: counted)

    @torch.compile(dynamic=False, backend="aot_eager")
    def attend(q, k, v, bound):
        return bound(q, k, v, backend="flex")

    with torch._dynamo.config.patch(recompile_limit=2), warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        for length in (9, 10, 11, 12):
            bound, tensors = bound_of(length), qkv(length)
            expected = bound(*tensors, backend="reference")
            torch.testing.assert_close(attend(*tensors, bound), expected)
    assert lengths == [11, 12]
    assert not warned(w)


@pytest.mark.parametrize(
    ("dtype", "needs_lse", "why"),
    [(torch.float32, True, "no log-sum-exp"), (torch.float64, False, "no float64")],
)
def test_what_no_compiled_kernel_gives_on_cpu(dtype, needs_lse, why) -> None:
    tensors = qkv(9, dtype)
    with pytest.warns(maskc.DenseScoresWarning, match=why) as found:
        bound_of(9)(*tensors, backend="flex", return_lse=needs_lse)
    assert len(warned(list(found))) == 1
    assert found[0].filename == __file__


def test_a_call_of_ours_leaves_torch_its_own_warning(monkeypatch) -> None:
    monkeypatch.setattr(torch_flex, "_WARNINGS_SHOWN", set())
    with pytest.warns(maskc.DenseScoresWarning):
        bound_of(9)(*qkv(9), backend="flex", return_lse=True)
    with pytest.warns(UserWarning, match="called without torch.compile"):
        flex_attention(*qkv(9), **bound_of(9).flex_args())


def test_too_many_compilations_are_refused_with_the_fix(monkeypatch) -> None:
    torch.compiler.reset()
    compiled = torch.compile(flex._attention, fullgraph=True, dynamic=False, backend="eager")
    monkeypatch.setattr(flex, "_compiled", lambda static: compiled)
    monkeypatch.setattr(flex, "COMPILED_PROGRAMS", 2)
    for length in (9, 10):
        bound_of(length)(*qkv(length), backend="flex")
    with pytest.raises(maskc.LoweringError, match="M513") as refused:
        bound_of(11)(*qkv(11), backend="flex")
    assert "torch.compiler.reset()" in str(refused.value)


def test_torch_still_traces_the_mods_in_the_function_we_look_for() -> None:
    assert hasattr(torch_flex, "_WARNINGS_SHOWN")
    constants = torch_flex.flex_attention.__code__.co_consts
    assert uncompiled.TRACED_BY in {getattr(one, "co_name", None) for one in constants}
