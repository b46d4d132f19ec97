"""Run a page of the book: its code in one namespace, its commands, its files in one folder."""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from click.testing import CliRunner

from docs.generate.blocks import NOT_RUN, PRINTS, Block, blocks
from maskc.checking import check
from maskc.cli import main
from maskc.source import Source

ROOT = Path(__file__).parents[2]
PROCESSES = {
    "pytest": [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
    "python": [sys.executable],
    "torchrun": [sys.executable, "-m", "torch.distributed.run"],
}
PARSERS = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}
MODULE = "page_of_the_book"
SHOWN = ("", "text", "diff")
"""Languages of blocks that nothing runs: what is compared with code, or only looked at."""


def run_page(path: Path) -> list[tuple[Block, str]]:
    """Run a page in the current folder, and return what each ``it prints`` should hold."""
    module = sys.modules[MODULE] = ModuleType(MODULE)  # torch looks a function's module up
    names = vars(module)
    printed, found = "", []
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.title == PRINTS:
            found.append((block, printed))
            continue
        try:
            printed = run_block(block, names, path)
        except Exception as error:
            error.add_note(f"in {path.relative_to(ROOT)}:{block.line}")
            raise
    return found


def run_block(block: Block, names: dict[str, Any], path: Path) -> str:
    """Run a block, or hold it for what its title says, and return what it prints."""
    if block.title.startswith(NOT_RUN):
        return ""
    if block.is_file:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(block.code, encoding="utf-8")
    match block.language:
        case "python" if block.is_file:
            compile(block.code, block.title, "exec")
        case "python":
            return _python(block, names, path)
        case "mask":
            is_library = block.is_file and "library" in block.title
            errors = [] if is_library else check(Source(block.code, str(path)))
            assert not errors, "\n".join(map(str, errors))
        case "sh":
            return "".join(_command(line) for line in block.code.splitlines())
        case "toml" | "yaml" | "json":
            PARSERS[block.language](block.code)
        case language:
            assert language in SHOWN, f"nothing runs a block of {language!r}"
    return ""


def _python(block: Block, names: dict[str, Any], path: Path) -> str:
    code = "\n" * (block.line - 1) + block.code
    file = str(path)
    linecache.checkcache(file)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        exec(compile(code, file, "exec"), names)
    return out.getvalue()


def _command(line: str) -> str:
    """Run a line of a shell: ``maskc`` within this process, others in their own."""
    words = shlex.split(line, comments=True)
    if not words:
        return ""
    if words[0] == "maskc":
        done = CliRunner(env={"COLUMNS": "88"}).invoke(main, words[1:])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code != 2, done.output  # 1 is what a command says of a program
        return done.output
    command = [*PROCESSES[words[0]], *words[1:]]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
