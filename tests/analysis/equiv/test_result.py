"""What a comparison says, in words, and that no one takes it for a truth value."""

import pytest

import maskc
from maskc.analysis.equiv.result import Equal, Unknown
from maskc.errors import BindError

compiled = maskc.compile_mask


def test_equal_programs() -> None:
    verdict = compiled("causal & window(8)").equivalent(compiled("q - 8 < k & k <= q"))
    assert verdict.equal is True
    assert str(verdict) == "equal: proved for every call"


def test_the_smallest_counterexample_is_told() -> None:
    verdict = compiled("window(512)").equivalent(compiled("window(513)"))
    assert verdict.equal is False
    assert str(verdict).splitlines() == [
        "different: mask is false, then true",
        "  at     q = 0, k = 512, head = 0, batch = 0",
        "  sizes  batch_size = 2, num_heads = 4, num_kv_heads = 4, q_len = 1, kv_len = 513",
    ]


def test_inputs_and_what_a_kernel_gives_are_told() -> None:
    told = str(compiled("same_doc").equivalent(compiled("doc[q] <= doc[k]")))
    assert "inputs doc[0] = " in told
    told = str(compiled("out = out * lse").equivalent(compiled("out = out")))
    assert "given  out = 1.5, lse = -0.25" in told


def test_what_is_undecided_tells_how_far_it_looked() -> None:
    first = compiled("score = score + slopes[head] * 2 + slopes[head]")
    second = compiled("score = score + (slopes[head] + slopes[head] * 2)")
    verdict = first.equivalent(second)
    assert isinstance(verdict, Unknown)
    assert verdict.equal is None
    assert str(verdict).startswith(f"undecided: no difference at {verdict.points} points, q and k")
    assert "z3 may prove it" in str(Unknown(1, 2, tried_proof=False))


def test_a_verdict_is_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"ask for `.equal`"):
        bool(Equal())


def test_a_program_for_all_layers_is_refused() -> None:
    with pytest.raises(BindError, match="stands for all layers"):
        compiled("param layer: int; window(layer + 1)").equivalent(compiled("full"))
