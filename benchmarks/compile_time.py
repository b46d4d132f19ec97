"""Measure what compiling costs: a program, the same text again, and ``maskc check``.

    python benchmarks/compile_time.py [--quick]

Programs are every name of the standard library and every program of ``examples/``. Each compiles in
one process after all imports, from a text that was not seen before; the time is the best of a few
runs of this process's CPU clock, so that other work on the machine does not count. sympy's share is
the part spent in its one door, ``passes/algebra.py``. ``maskc check`` is the wall and CPU time of a
new process with byte code cached. Writes ``benchmarks/results/compile_time.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import maskc
from maskc.compiled import Recipe
from maskc.loading import Located, read
from maskc.passes.support import driver
from maskc.pipeline import compile_recipe
from maskc.source import Source
from maskc.view.library import entries

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PROGRAM = "causal & same_doc & window(512); score = softcap(score, 30)"
TARGETS = {
    "median program, ms": 15.0,
    "the same text again, us": 20.0,
    "maskc check, s": 0.4,
}
FORMS = (
    "NAME",
    "NAME(8)",
    "NAME(8, 2)",
    "score = NAME(score, 8)",
    "score = score + NAME",
    "score = score + NAME(k - q)",
    "axis h = 8, w = 8; NAME(h, w)",
    "axis h = 8, w = 8; NAME(8, h, w)",
    "axis h = 8, w = 8; score = score + NAME(h, w)",
)
"""How a name of the standard library may be used."""

CHECK = """
import sys, time
sys.argv = ["maskc", "check", sys.argv[1]]
from maskc.cli import main
try:
    main()
finally:
    print(time.process_time(), sum(name in sys.modules for name in ("torch", "sympy")))
"""


@dataclass
class Result:
    """One program: what it took, and the part of that in sympy's door, in ms."""

    program: str
    ms: float
    algebra_ms: float


def library() -> list[tuple[str, Located]]:
    """Return a program for every name of the standard library that one of ``FORMS`` uses."""
    found = []
    for name in dict.fromkeys(entry.name for entry in entries()):
        texts = (form.replace("NAME", name) for form in FORMS)
        text = next(filter(compiles, texts), None)
        if text is not None:
            found.append((name, Located(Source(text))))
    return found


def examples() -> list[tuple[str, Located]]:
    """Return the programs of ``examples/``."""
    paths = sorted((ROOT / "examples").glob("*.mask"))
    return [(path.name, read(str(path))) for path in paths]


def compiles(text: str) -> bool:
    """Tell whether a text is a program."""
    try:
        maskc.compile_mask(text)
    except maskc.MaskcError:
        return False
    return True


def measured(name: str, located: Located, repeat: int) -> Result:
    """Return the best of ``repeat`` compilations, each of a text of its own."""
    best = Result(name, float("inf"), 0.0)
    for turn in range(repeat):
        text = Source(f"{located.source.text}\n# {turn}", located.source.name)
        recipe = Recipe(text, libraries=located.libraries)
        with Door() as door:
            start = time.process_time()
            compile_recipe(recipe)
            ms = 1e3 * (time.process_time() - start)
        if ms < best.ms:
            best = Result(name, ms, 1e3 * door.seconds)
    return best


class Door:
    """A clock on the door to sympy."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._laws = driver.WHOLE

    def __enter__(self) -> Door:
        driver.WHOLE = tuple(map(self._timed, self._laws))
        return self

    def __exit__(self, *error: object) -> None:
        driver.WHOLE = self._laws

    def _timed(self, law: Callable) -> Callable:
        if law.__name__ != "algebra":
            return law

        def algebra(module: object) -> object:
            start = time.process_time()
            try:
                return law(module)
            finally:
                self.seconds += time.process_time() - start

        return algebra


def again(count: int) -> float:
    """Return the microseconds of compiling a text that was compiled before."""
    maskc.compile_mask(PROGRAM)
    start = time.process_time()
    for _ in range(count):
        maskc.compile_mask(PROGRAM)
    return 1e6 * (time.process_time() - start) / count


def check(repeat: int) -> tuple[float, float]:
    """Return the least wall and CPU seconds of ``maskc check``; it may load no torch or sympy."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        walls, cpus = [], []
        for _ in range(repeat + 1):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CHECK, PROGRAM],
                capture_output=True,
                text=True,
                check=True,
                env=env,
                cwd=ROOT,
            )
            walls.append(time.perf_counter() - start)
            cpu, loaded = done.stdout.splitlines()[-1].split()
            cpus.append(float(cpu))
            assert loaded == "0", "torch or sympy was loaded"
    return min(walls[1:]), min(cpus[1:])


def main() -> None:
    """Print the table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    repeat = 2 if parser.parse_args().quick else 5
    maskc.compile_mask("score = score * 2 + score")  # imports sympy
    results = [measured(*program, repeat) for program in (*library(), *examples())]
    wall, cpu = check(repeat)
    summary = {
        "programs": len(results),
        "median program, ms": statistics.median(result.ms for result in results),
        "slowest program, ms": max(result.ms for result in results),
        "sympy's share, %": 100 * sum(r.algebra_ms for r in results) / sum(r.ms for r in results),
        "the same text again, us": again(10_000),
        "maskc check, s": wall,
        "maskc check, s of CPU": cpu,
    }
    for result in sorted(results, key=lambda result: -result.ms)[:8]:
        print(f"{result.program:<28}{result.ms:8.2f} ms   sympy {result.algebra_ms:6.3f} ms")
    for name, value in summary.items():
        target = f"   target {TARGETS[name]:g}" if name in TARGETS else ""
        print(f"{name:<28}{value:8.4g}{target}")
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()}
    RESULTS.mkdir(exist_ok=True)
    written = {
        "machine": machine,
        "targets": TARGETS,
        "summary": summary,
        "programs": [asdict(result) for result in results],
    }
    path = RESULTS / "compile_time.json"
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
