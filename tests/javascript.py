"""Run JavaScript in node, or in Chromium where there is no node: ``evaluate.js`` and what follows.

Numbers come back as Python's floats, those that JSON lacks too; an error comes back as ``Failed``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

EVALUATE = files("maskc.view.explorer").joinpath("evaluate.js").read_text(encoding="utf-8")

ANSWER = """
function answer(text) {
  const isOdd = (x) => typeof x === "number" && !Number.isFinite(x);
  let result;
  try {
    result = { value: new Function(text)() };
  } catch (error) {
    result = { error: String(error) };
  }
  return JSON.stringify(result, (name, x) => isOdd(x) ? { number: String(x) } : x);
}
"""

SERVE = """
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => console.log(answer(JSON.parse(line))));
"""


@dataclass(frozen=True)
class Failed:
    """What JavaScript says instead of an answer."""

    message: str


class Node:
    """A process of node that answers one text after the other."""

    def __init__(self, path: str) -> None:
        pipe = subprocess.PIPE
        command = [path, "-e", ANSWER + SERVE]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def answer(self, text: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self) -> None:
        self.process.communicate()


class Page:
    """An empty page of Chromium."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def answer(self, text: str) -> str:
        found: str = self.page.evaluate(f"(text) => {{ {ANSWER} return answer(text); }}", text)
        return found


class Engine:
    """Runs a function's body in which the functions of ``evaluate.js`` are known."""

    def __init__(self, host: Node | Page) -> None:
        self.host = host

    def run(self, body: str) -> Any:
        result = json.loads(self.host.answer(EVALUATE + body), object_hook=_number)
        return Failed(result["error"]) if "error" in result else result["value"]


def _number(found: dict[str, Any]) -> Any:
    if list(found) == ["number"]:
        return float(found["number"].replace("Infinity", "inf"))
    return found


@contextmanager
def engine() -> Iterator[Engine]:
    """Give an engine; skip the test where there is none."""
    if (path := shutil.which("node")) is not None:
        node = Node(path)
        try:
            yield Engine(node)
        finally:
            node.close()
        return
    from browser import chromium

    with chromium() as browser:
        yield Engine(Page(browser.new_page()))
