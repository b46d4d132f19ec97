"""The house form keeps every word and every comment, and is its own form."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskc.elaborate.module import elaborate
from maskc.source import Source
from maskc.syntax.format import formatted
from maskc.syntax.parse import parse
from maskc.syntax.parser import parser

ROOT = Path(__file__).parents[2]

UGLY = """

# a comment
causal   &same_doc&(  window( 512 )|k<4)   # near
   ;score=softcap( score,30 )+ - 2*-q.h


param  n:int=4#why
def f(x,y = -1)=abs( x-y )if not(x<y)else-x[q ,k]
let long = q <
k  &
  # between
       !(k == 2 |
~causal )
let joined = q \\
< k
param a=1      # one
param long = 2 # below the other
"""
FORM = """# a comment
causal & same_doc & (window(512) | k < 4)  # near
; score = softcap(score, 30) + -2 * -q.h

param n: int = 4  #why
def f(x, y = -1) = abs(x - y) if not (x < y) else -x[q, k]
let long = q <
    k &
    # between
    !(k == 2 |
    ~causal)
let joined = q < k
param a = 1     # one
param long = 2  # below the other
"""


def form(text: str) -> str:
    return formatted(Source(text))


def words(text: str) -> list[str]:
    tokens = parser().lex(text, dont_ignore=True)
    return [t.rstrip() for t in tokens if t.type != "BLANK" and (t.type != "END" or t == ";")]


def test_the_form() -> None:
    assert form(UGLY) == FORM
    assert form(FORM) == FORM
    assert form("\r\ncausal\r\n") == "causal\n"
    assert form("") == ""


@pytest.mark.parametrize(
    "path", [*sorted(ROOT.glob("examples/**/*.mask")), ROOT / "grammar" / "prelude.mask"], ids=str
)
def test_our_own_files_have_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert form(text) == text


WORDS = "q k -1 - + * // ** & | ! ~ not and or ( ) [ ] , ; : . = == <= abs doc if else 1.5 true"
PIECES = [*WORDS.split(), "\n", "# note", "\n\n\n", " \\\n", "    ", "let x ="]


@example(["!", "="])
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_words_stay_and_the_form_is_stable(pieces: list[str]) -> None:
    text = " ".join(piece + "\n" if piece[0] == "#" else piece for piece in pieces)
    found = form(text)
    assert words(found) == words(text)
    assert form(found) == found


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.mask")), ids=lambda p: p.stem)
def test_the_meaning_stays(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    squeezed = text.replace(" = ", "=").replace(", ", " ,")
    one, other = (parse(Source(part))[0] for part in (text, form(squeezed)))
    found = [elaborate(tree, {}, placeholders=True) for tree in (one, other)]
    assert found[0][0].module == found[1][0].module
