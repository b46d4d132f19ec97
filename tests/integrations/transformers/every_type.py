"""What every type shows, in files of a line each."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "fixtures" / "transformers"
MAPPINGS = ("CausalLM", "MaskedLM", "Seq2SeqLM")


def expected(mapping: str) -> dict[str, str]:
    """Return what each type of a mapping is expected to show; reads no transformers."""
    path = FOLDER / f"{mapping}.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split(": ", 1) for line in lines)


def write(mapping: str, kind: str, shown: str) -> None:
    found = {**expected(mapping), kind: shown}
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}: {found[name]}\n" for name in sorted(found))
    (FOLDER / f"{mapping}.txt").write_text(text, encoding="utf-8")


def is_equal(shown: str) -> bool:
    return not shown.startswith(("refused", "not built"))


def shown(mapping: str, kind: str) -> str:
    """Return what a type shows: its programs, why it is refused, or that it was not built."""
    from like_eager import CHANGED, EXACT, NotBuiltError, agreement, small_model

    from maskc import MaskcError

    try:
        model = small_model(mapping, kind)
    except NotBuiltError:
        return "not built"
    try:
        found = agreement(model)
    except MaskcError as error:
        return f"refused {error.code}"
    for case, difference in found.differences.items():
        assert difference <= EXACT, f"{kind}, {case}: {difference}"
    assert found.control >= CHANGED, f"{kind} does not show another mask: {found.control}"
    return " || ".join("; ".join(text.splitlines()) for text in found.programs)
