"""Names of what no program can say: each has its reason, and none is a name of the language."""

import pytest

from maskc.elaborate.library import prelude
from maskc.elaborate.scope import LANGUAGE
from maskc.elaborate.unsupported import _REASONS, reason, reasons
from maskc.errors import MaskNameError
from maskc.program import compile_mask

NAMES = [name for names in _REASONS for name in names.split()]


def test_no_name_is_listed_twice_or_has_a_meaning() -> None:
    assert len(set(NAMES)) == len(NAMES)
    known = LANGUAGE | prelude().names.keys()
    assert not [name for name in known if reason(name) is not None]


@pytest.mark.parametrize("name", ["cope", "CoPE", "stick_breaking", "StickBreakingAttention"])
def test_names_are_known_however_they_are_written(name: str) -> None:
    assert reason(name) is not None


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_refused_with_its_reason(name: str) -> None:
    for text in (f"score = {name}(score)", f"score = score + {name}"):
        with pytest.raises(MaskNameError) as caught:
            compile_mask(text)
        assert caught.value.help == reason(name)


def test_a_program_may_declare_such_a_name() -> None:
    assert compile_mask("input dropout: bool\ndropout[q, k]").inputs[0].name == "dropout"


def test_other_names_have_no_reason() -> None:
    assert reason("widnow") is None
    assert all(not text.endswith(".") for text in reasons())
