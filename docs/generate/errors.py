"""The page of errors: every code, with a program or a call that gives it and what it then says.

Programs come from ``tests/fixtures/errors``, the shortest that gives a code; calls from
``docs/errors``, where ``=== M402`` stands above the code, with ``not run: REASON`` behind it where
this machine cannot show it.
"""

from __future__ import annotations

import ast
import linecache
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner

from docs.generate.project import DOCS, ROOT
from maskc.errors import MaskcError, MaskcWarning

NOT_RUN = "not run: "
TRACE = "\n\nfrom user code"
GROUPS = {
    "M1": "Syntax",
    "M2": "Types",
    "M3": "Names and constants",
    "M4": "Binding",
    "M5": "Lowering: what a backend cannot run",
    "M6": "Files",
    "M7": "Warnings",
    "M8": "Tracing",
    "M9": "transformers",
}
HEAD = """# Errors

Every error is a `maskc.MaskcError`, a `ValueError`, with a code that keeps its meaning, the place
where there is one, and the fix under `help`. Each example here was run when this page was built,
and what stands below it is what it said. `maskc check` prints all errors of a file.

The calls further down begin with:

```python
{preamble}```
"""
PREAMBLE = '''import torch

import maskc
import maskc.testing


def qkv(tokens=16):
    """Return q, k and v of one batch, two heads and width 16."""
    return torch.randn(3, 1, 2, tokens, 16).unbind()
'''


@dataclass(frozen=True, slots=True)
class Example:
    """What gives an error.

    Attributes: ``code``; ``language`` (``mask`` or ``python``); ``text``; ``not_run`` (why not, or
    empty).
    """

    code: str
    language: str
    text: str
    not_run: str = ""


def page() -> str:
    """Return the page, in Markdown."""
    parts = [HEAD.format(preamble=PREAMBLE)]
    group = ""
    for example in sorted(examples(), key=lambda one: one.code):
        if GROUPS[example.code[:2]] != group:
            group = GROUPS[example.code[:2]]
            parts.append(f"## {group}\n")
        parts.append(described(example))
    return "\n".join(parts)


def described(example: Example) -> str:
    """Return an example's part of the page."""
    title = f' title="{NOT_RUN}{example.not_run}"' if example.not_run else ""
    lines = [f"### {example.code}\n", f"```{example.language}{title}\n{example.text}\n```\n"]
    if not example.not_run:
        lines.append(f"```text\n{said(example)}\n```\n")
    return "\n".join(lines)


def examples() -> Iterator[Example]:
    """Yield one example of each code that has one."""
    yield from programs().values()
    for path in sorted((DOCS / "errors").glob("*.txt")):
        for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            title, text = block.split("\n", 1)
            code, _, rest = title.partition(" ")
            yield Example(code, "python", text.strip("\n"), rest.removeprefix(NOT_RUN))


def programs() -> dict[str, Example]:
    """Return the shortest program of the tests' fixtures for each code."""
    found: dict[str, Example] = {}
    for path in sorted((ROOT / "tests/fixtures/errors").glob("*.txt")):
        for block in re.split(r"^=== .*\n", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            text, _, expected = block.partition("\n---\n")
            codes = re.findall(r"^error\[(M\d+)\]", expected, flags=re.M)
            if len(codes) != 1 or "\\u{" in text:
                continue
            code, text = codes[0], text.strip("\n")
            if code not in found or len(text) < len(found[code].text):
                found[code] = Example(code, "mask", text)
    return found


def said(example: Example) -> str:
    """Return what the error or the warning of an example says.

    Raises:
        AssertionError: the example gives none, or one of another code.

    """
    result = _program(example.text) if example.language == "mask" else _call(example.text)
    assert result is not None, f"{example.code}: nothing was raised"
    text = result if isinstance(result, str) else str(result)
    assert f"[{example.code}]" in text, f"{example.code}: {text}"
    return re.sub(r"(prelude\.mask):\d+:\d+", r"\1", text)


def _program(text: str) -> MaskcError | None:
    """Return the error of a program; a first line ``with n = 4`` gives constants."""
    from maskc import compile_mask

    constants: dict[str, Any] = {}
    if text.startswith("with "):
        given, text = text.split("\n", 1)
        pairs = (pair.split(" = ") for pair in given.removeprefix("with ").split(", "))
        constants = {name: ast.literal_eval(value) for name, value in pairs}
    try:
        compile_mask(text, **constants)
    except MaskcError as error:
        return error
    return None


def _call(text: str) -> MaskcError | MaskcWarning | str | None:
    """Return what a call raises or warns of, or what a command prints."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path("masks.py").write_text(text, encoding="utf-8")
        printed: list[str] = []
        names: dict[str, Any] = {
            "write": _write,
            "run": lambda *command: printed.append(_command(command)),
        }
        exec(compile(PREAMBLE, "preamble.py", "exec"), names)
        linecache.clearcache()  # the lines that an error quotes are those of this `masks.py`
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                exec(compile(text, "masks.py", "exec"), names)
            except MaskcError as error:
                return error
            except torch._dynamo.exc.InternalTorchDynamoError as error:
                return f"error[{str(error).partition('error[')[2].partition(TRACE)[0]}".strip()
        told = [one.message for one in caught if isinstance(one.message, MaskcWarning)]
        return printed[0] if printed else next(iter(told), None)


def _write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _command(command: tuple[str, ...]) -> str:
    from maskc.cli import main

    return CliRunner().invoke(main, list(command)).output.strip().replace(f"{os.getcwd()}/", "")
