"""Values that show themselves: text, repr and HTML of programs, bindings and reports."""

from importlib.metadata import version
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import maskc
from maskc.explain.thumbnail import MOST_SQUARES, thumbnail
from maskc.run.notebook import _tile_shares
from maskc.testing import diff, random_qkv

DOC = (torch.arange(300) // 100).int()


def test_the_version_is_that_of_the_package() -> None:
    assert maskc.__version__ == version("maskc")


def test_a_program_is_its_text() -> None:
    program = maskc.compile_mask("causal & window(4) & same_doc; score = score * 2")
    assert str(program) == program.text
    assert maskc.compile_mask(str(program)) == program
    assert repr(program).startswith(f"<maskc program {program.digest[:8]}: input doc: int; 0 <= q")
    shown = program._repr_html_()
    assert "<pre>causal &amp; window(4) &amp; same_doc; score = score * 2</pre>" in shown
    assert "reads doc: int" in shown
    assert "<svg" not in shown
    assert "<svg" in maskc.compile_mask("causal")._repr_html_()
    for text in ("param layer: int; causal", "axis h=4, w=4; near(h, 1)", "k // (q - q) == 0"):
        assert "<svg" not in maskc.compile_mask(text)._repr_html_()


def test_a_binding_shows_its_sizes_and_inputs() -> None:
    program = maskc.compile_mask("causal & same_doc")
    bound = program.bind(q_len=300, batch_size=2, num_heads=4, num_kv_heads=2, doc=DOC)
    sizes = "batch 2, 4 heads over 2, 300 queries, 300 keys, cpu"
    text = "input doc: int; k <= q & doc[q] == doc[k]"
    assert repr(bound) == f"<maskc binding, {sizes}, doc: torch.int32 [300]: {text}>"
    shown = bound._repr_html_()
    assert sizes in shown
    assert "0 full, 5 partial, 4 empty tiles" in shown
    assert "doc: torch.int32 [300]" in shown


@pytest.mark.parametrize("tokens", [9, 300])
def test_the_picture_of_a_binding_is_its_mask(tokens: int) -> None:
    doc = DOC[:tokens]
    bound = maskc.compile_mask("causal & same_doc").bind(q_len=tokens, block_size=16, doc=doc)
    shown = bound._repr_html_()
    svg = ElementTree.fromstring(shown[shown.index("<svg") : shown.index("</svg>") + 6])
    squares = np.zeros((tokens, tokens)) if tokens == 9 else np.zeros((19, 19))
    for rectangle in svg.findall("{http://www.w3.org/2000/svg}rect")[1:]:
        x, y, width = (int(rectangle.attrib[name]) for name in ("x", "y", "width"))
        squares[y, x : x + width] = float(rectangle.attrib.get("fill-opacity", 1))
    mask = bound.dense_mask()[0, 0].double()
    if tokens == 9:
        assert np.array_equal(squares, mask.numpy())
        return
    padded = torch.nn.functional.pad(mask, (0, 4, 0, 4)).reshape(19, 16, 19, 16)
    assert np.array_equal(squares > 0, (padded.amax((1, 3)) > 0).numpy())
    assert np.array_equal(squares, _tile_shares(bound._current.blocks.tile_map))


def test_a_large_picture_has_few_squares() -> None:
    shown = thumbnail(np.tri(1000), "a & b")
    assert "<title>a &amp; b</title>" in shown
    assert 'viewBox="0 0 63 63"' in shown or f'viewBox="0 0 {MOST_SQUARES} ' in shown
    assert shown.count("<rect") < 4 * MOST_SQUARES


def test_a_report_is_a_table() -> None:
    sizes = {"batch_size": 1, "num_heads": 1, "num_kv_heads": 1, "q_len": 5, "kv_len": 5}
    program = maskc.compile_mask("causal & k < 3")
    report = diff(program, *random_qkv(sizes, 4, "float32"), backends=["sdpa"])
    assert (
        "<pre>k &lt;= q &amp; k &lt; 3</pre>" in report._repr_html_()
        or "&lt;" in report._repr_html_()
    )
    assert "<th>sdpa</th>" in report._repr_html_()
    found = report.as_dict()
    assert [result["backend"] for result in found["results"]][-1] == "sdpa"
    assert found["misses"] == []
