"""Names that people know from elsewhere: what is suggested for them is a program."""

import pytest

from maskc.checking import check
from maskc.elaborate.known_as import programs, written_for
from maskc.source import Source


@pytest.mark.parametrize("program", programs())
def test_what_is_suggested_compiles(program: str) -> None:
    assert check(Source(program)) == []


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("sliding_window", "causal & window(128)"),
        ("SlidingWindow", "causal & window(128)"),
        ("chunked_attention", "chunked(128)"),
        ("document", "same_doc"),
        ("padding", "valid_keys"),
        ("prefix_lm", "causal | prefix"),
        ("is_causal", "causal"),
        ("attention_mask", "valid_keys"),
    ],
)
def test_the_argument_stays(name: str, program: str) -> None:
    assert (written_for(name, "128") or "").startswith(f"write `{program}`")


def test_nothing_is_suggested_for_other_names() -> None:
    assert written_for("flag") is None
