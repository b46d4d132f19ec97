"""The page of measurements: every table of ``benchmarks/results``, with how to run it again."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.generate.project import ROOT

RESULTS = ROOT / "benchmarks" / "results"
LONG = 16
"""Rows from which on a table is folded."""
HEAD = """# Performance

The tables of the benchmarks, as they were committed; each says what it ran on. Times of two
machines do not compare, ratios within one table do: contenders take turns in one process.

`make bench` runs all of them; `benchmarks/gpu.py` waits for a GPU.
"""


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([HEAD, *(section(path) for path in sorted(RESULTS.glob("*.json")))])


def section(path: Path) -> str:
    """Return what one file of results says."""
    results = json.loads(path.read_text(encoding="utf-8"))
    stem = path.stem.removesuffix("_quick")
    script = ROOT / "benchmarks" / f"{stem}.py"
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    title, _, rest = doc.partition("\n")
    option = " --quick" if path.stem != stem else ""
    parts = [f"## {path.stem.replace('_', ' ').capitalize()}\n", f"{title}\n"]
    if not option:
        parts.append(f'??? note "What is measured, and how"\n\n{indented(rest)}\n')
    parts.append(f"`python benchmarks/{stem}.py{option}` · {facts(results)}\n")
    picture = path.with_suffix(".png")
    if picture.exists():
        parts.append(f"![{title}](../benchmarks/results/{picture.name})\n")
    parts += [table(name, rows) for name, rows in tables(results)]
    return "\n".join(parts)


def facts(results: Mapping[str, Any]) -> str:
    """Return what the results ran on, in a line."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        flat |= value if isinstance(value, dict) else {name: value}
    plain = {name: value for name, value in flat.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name} {cell(value)}" for name, value in plain.items() if value != "")


def tables(results: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the lists of records, by name."""
    for name, value in results.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            yield name, value


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return records as a table; a long one is folded."""
    columns = [
        column
        for column in dict.fromkeys(key for row in rows for key in row)
        if any(isinstance(row.get(column), str | int | float) for row in rows)
    ]
    lines = [" | ".join(column.replace("_", " ") for column in columns)]
    lines.append(" | ".join("---" for _ in columns))
    lines += [" | ".join(cell(row.get(column)) for column in columns) for row in rows]
    text = "\n".join(f"| {line} |" for line in lines)
    title = name if name != "results" else "The table"
    if len(rows) < LONG:
        return f"{text}\n" if name == "results" else f"**{title.capitalize()}**\n\n{text}\n"
    return f'??? example "{title.capitalize()}, {len(rows)} rows"\n\n{indented(text)}\n'


def cell(value: Any) -> str:
    """Return a value as a cell: three digits of a float."""
    match value:
        case None | list() | dict():
            return ""
        case bool():
            return "yes" if value else "no"
        case float() if value == int(value) and abs(value) < 1e6:
            return str(int(value))
        case float() if 1e-3 <= abs(value) < 1e4:
            return f"{value:.3g}"
        case float():
            return f"{value:.2e}"
        case _:
            return str(value).replace("|", "\\|")


def indented(text: str) -> str:
    """Return a text as the inside of a folded block."""
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").splitlines())
