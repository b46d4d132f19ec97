"""Errors in a program point at the line and the column of its config file."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maskc.config.places import origin
from maskc.config.strings import literals
from maskc.loading import read
from maskc.source import Source


def shown(file: Source, suffix: str, key: str, value: str, word: str) -> str:
    """Return the line of the file and the marks under the place of ``word``."""
    source = Source(value, "test", origin(file, suffix, key, value))
    start = value.index(word)
    line, column = source.position(start)
    assert source.line(line) == file.text.split("\n")[line - 1]
    width = source.width(start, start + len(word))
    return f"{line}: {source.line(line)[column - 1 : column - 1 + width]}"


TOML = (
    r'''# mask = "causal & bad"
[a.b]  # "causal & bad" stands in comments and in other keys too
other = "causal & bad"
mask = "causal & bad"
quoted = 'causal & bad'
escaped = "causal\t\u0026 bad"
long = """
causal &
  bad"""
raw = '''
    + "'''causal"
    + "\n & bad''''"
    + r'''
joined = """\
    causal & \
    bad\
    """
inline = { x = 1, mask = "causal & bad" }
[[layers]]
mask = "causal & bad"
[[layers]]
mask = "causal & bad"
"dotted"."mask" = "causal & bad"
'''
)
TOML_PLACES = {
    "a.b.mask": "4: bad",
    "a.b.other": "3: bad",
    "a.b.quoted": "5: bad",
    "a.b.escaped": "6: bad",
    "a.b.long": "9: bad",
    "a.b.raw": "11: bad",
    "a.b.joined": "14: bad\\",
    "a.b.inline.mask": "16: bad",
    "layers.0.mask": "18: bad",
    "layers.1.mask": "20: bad",
    "layers.1.dotted.mask": "21: bad",
}

YAML = r"""
model: &model
  mask: causal & bad
  long: causal &
    bad
  single: 'it''s causal & bad'
  double: "causal \x26 \
    bad\n"
  literal: |
    causal &
      bad
  folded: >-
    causal &
    bad
  list: [full, "causal & bad", {x: causal & bad}]
  anchored: &m   causal & bad
  alias: *m
other:
  <<: *model
  single: plain
  literal: |2   # with a comment

     causal &

     bad
last: |
  causal & bad"""
YAML_PLACES = {
    "model.mask": "3: bad",
    "model.long": "5: bad",
    "model.single": "6: bad",
    "model.double": "8: bad",
    "model.literal": "11: bad",
    "model.folded": "14: bad",
    "model.list.1": "15: bad",
    "model.list.2.x": "15: bad",
    "model.anchored": "16: bad",
    "model.alias": "16: bad",
    "other.mask": "3: bad",
    "other.literal": "25: bad",
    "last": "27: bad",
}

JSON = r"""{"mask": "causal & bad", "mask2": "causal & bad",
 "a": {"mask": "causal \u0026 bad", "wide": "\ud83d\ude00 causal\n& bad"},
 "b": [0, "causal & bad", ["causal & bad"]]}
"""
JSON_PLACES = {
    "mask": "1: bad",
    "mask2": "1: bad",
    "a.mask": "2: bad",
    "a.wide": "2: bad",
    "b.1": "3: bad",
    "b.2.0": "3: bad",
}


@pytest.mark.parametrize(
    ("text", "suffix", "key", "place"),
    [
        (text, suffix, key, place)
        for text, suffix, places in [
            (TOML, "toml", TOML_PLACES),
            (YAML, "yaml", YAML_PLACES),
            (JSON, "json", JSON_PLACES),
        ]
        for key, place in places.items()
    ],
)
def test_a_word_stands_where_it_is_written(
    text: str, suffix: str, key: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / f"c.{suffix}"
    path.write_text(text, encoding="utf-8")
    value = read(f"{path}:{key}").source.text
    assert shown(Source(text, "c"), suffix, key, value, "bad") == place


def test_equal_strings_are_told_apart_by_their_columns() -> None:
    place = origin(Source(JSON, "c.json"), "json", "mask2", "causal & bad")
    assert place is not None
    assert place.offsets[0] == JSON.index('"mask2": "') + len('"mask2": "')


def test_an_error_shows_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import maskc

    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text('[model]\n\nmask = "causal & windwo(512)"\n', encoding="utf-8")
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.load("c.toml:model.mask")
    assert str(caught.value) == (
        "error[M303]: unknown function `windwo`\n"
        " --> c.toml:3:18\n"
        '  3 | mask = "causal & windwo(512)"\n'
        "    |                  ^^^^^^\n"
        "    = help: did you mean `window`?"
    )


def test_an_error_that_spans_lines_is_marked_to_the_end_of_its_first(tmp_path: Path) -> None:
    from maskc.checking import check

    path = tmp_path / "c.yaml"
    path.write_text("a:\n  mask: |\n    causal &\n      q +\n      k\n", encoding="utf-8")
    (error,) = check(read(f"{path}:a.mask").source)
    assert str(error).splitlines()[2:4] == ["  4 |       q +", "    |       ^^^"]


signs = st.text(st.sampled_from("ab &|\"'\\#:-\n\t{}é😀\u2028"), max_size=12)


def toml_string(text: str, form: int) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if form == 0:
        return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
    if form == 1:
        return f'"""\n{escaped}"""'
    if form == 2 and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return json.dumps(text, ensure_ascii=True).replace("\\ud83d\\ude00", "\\U0001F600")


@given(signs, signs, st.integers(0, 3))
def test_every_toml_string_is_found(before: str, value: str, form: int) -> None:
    text = f"x = {toml_string(before, 3 - form)} # {'y'}\ny = {toml_string(value, form)}\n"
    assert tomllib.loads(text) == {"x": before, "y": value}
    assert_exact(text, "toml", "y", value)


@given(signs, signs, st.booleans())
def test_every_json_string_is_found(before: str, value: str, ascii_only: bool) -> None:
    text = json.dumps({"x": [before], "y": value}, ensure_ascii=ascii_only, indent=1)
    assert_exact(text, "json", "y", value)


@given(signs, signs, st.sampled_from([None, "'", '"', "|", ">"]), st.integers(8, 40))
def test_every_yaml_string_is_found(before: str, value: str, style: str, width: int) -> None:
    text = yaml.safe_dump(
        {"x": [before], "y": {"z": value}}, default_style=style, width=width, allow_unicode=True
    )
    assert yaml.safe_load(text) == {"x": [before], "y": {"z": value}}
    assert_exact(text, "yaml", "y.z", value)


def assert_exact(text: str, suffix: str, key: str, value: str) -> None:
    """Check that what is written at each place is the character, an escape of it, or a fold."""
    assert any(literal.offsets for literal in literals(text, suffix, value))
    place = origin(Source(text, "c"), suffix, key, value)
    assert place is not None
    assert place.text in text
    assert len(place.offsets) == len(value) + 1
    assert list(place.offsets) == sorted(place.offsets)
    for sign, offset in zip(value, place.offsets, strict=False):
        written = place.text[offset : offset + 1]
        assert written in (sign, "\\", "'") or sign.isspace(), (sign, written)
