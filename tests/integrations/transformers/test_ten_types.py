"""Ten types of ten ways to attend, in one test: transformers is slow to import."""

from __future__ import annotations

import every_type
import pytest

TEN = [
    ("CausalLM", "llama"),
    ("CausalLM", "gemma2"),
    ("CausalLM", "gpt_oss"),
    ("CausalLM", "llama4_text"),
    ("CausalLM", "opt"),
    ("CausalLM", "doge"),
    ("CausalLM", "bloom"),
    ("MaskedLM", "bert"),
    ("MaskedLM", "modernbert"),
    ("Seq2SeqLM", "t5"),
]


@pytest.mark.filterwarnings("ignore")
def test_ten_types_do_as_eager() -> None:
    pytest.importorskip("transformers", reason="`pip install 'maskc[transformers]'`")
    for mapping, kind in TEN:
        assert every_type.shown(mapping, kind) == every_type.expected(mapping)[kind]
