"""A score that hides -inf behind a constant condition, where rows without keys attend to all."""

import pytest
import torch

from maskc import compile_mask

FORMS = {
    "choice": "score = softcap(score, 1); score = score if {} else -inf",
    "other way": "score = softcap(score, 1); score = where(!({}), -inf, score)",
    "sum": "score = softcap(score, 1) + where({}, 0.0, -inf)",
    "int sum": "score = softcap(score, 1) + where({}, 0, -inf)",
    "difference": "score = softcap(score, 1) - where({}, 0.0, inf)",
    "least": "score = min(softcap(score, 1), inf if {} else -inf)",
    "scaled": "score = where({}, softcap(score, 1), -inf) * 0.5",
    "nested": "score = where(q < 2, where({}, softcap(score, 1), -inf), score * 3)",
    "let": "let seen = {}; score = softcap(score, 1); score = where(seen, score, -inf)",
}
QKV = torch.randn(3, 1, 2, 5, 4, generator=torch.Generator().manual_seed(0)) * 3
NEVER = ["false", "bool(q - q)", "q % 16 < -1", "k < 0 & k > 0", "!true", "q != q"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("never", NEVER)
def test_a_condition_that_is_never_true_keeps_the_score(form: str, never: str) -> None:
    q, k, v = QKV
    hidden = compile_mask(FORMS[form].format(never), empty_rows="all")
    opaque = compile_mask("input n: int; " + FORMS[form].format("k < n"), empty_rows="all")
    expected = opaque(q, k, v, n=0, backend="reference")
    found = hidden(q, k, v, backend="reference")
    torch.testing.assert_close(found, expected)


def test_minus_infinity_adds_nothing_but_a_mask() -> None:
    q, k, v = QKV
    plain = compile_mask("score = softcap(score, 1)")
    infinite = compile_mask("score = softcap(score, 1) + -inf", empty_rows="all")
    torch.testing.assert_close(infinite(q, k, v), plain(q, k, v))
