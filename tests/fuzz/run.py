"""Throw programs, files and arguments at maskc: each ends in an answer or a MaskcError, in bounds.

    python tests/fuzz/run.py --count 200000 --processes 2

Every input has a number; ``--first N --count 1`` runs input N alone, and prints it. Of ten inputs
seven are programs, two are files and one is a call of the public face. ``guided.py`` makes inputs
by coverage instead. Progress goes to stderr; what fails, and the counts by kind at the end, go to
stdout, those of a run that is interrupted too.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import arguments  # noqa: E402
import files  # noqa: E402
import mutate  # noqa: E402

import maskc  # noqa: E402
from maskc.testing import matches, random_inputs  # noqa: E402

SECONDS = 1.0
MEGABYTES = 200
HANGS = 20
"""Seconds of real time after which an input is stopped."""

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Tally:
    """What became of the inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many inputs were tried."""
        return sum(self.outcomes.values())

    def __str__(self) -> str:
        counts = sorted(self.outcomes.items(), key=lambda item: (item[0].split(":")[0], -item[1]))
        return "\n".join(
            [
                *(f"{count:>8} {outcome}" for outcome, count in counts),
                f"{self.inputs} inputs, {len(self.failures)} failures; "
                f"slowest {self.slowest:.2f} s, largest {self.largest:.0f} MB",
            ]
        )

    def add(self, other: Tally) -> None:
        """Count another's inputs too."""
        self.outcomes += other.outcomes
        self.slowest, self.largest = (
            max(self.slowest, other.slowest),
            max(self.largest, other.largest),
        )
        self.failures += other.failures


def drawn(number: int, texts: list[str]) -> tuple[object, Callable[[], str]]:
    """Return an input, and what tries it and tells what became of it."""
    rng = random.Random(number)
    match kind_of(number):
        case "call":
            call = arguments.draw(rng)
            return call, lambda: arguments.attempt(call)
        case "file":
            case = files.draw(rng)
            return case, lambda: files.attempt(case)
        case _:
            text = mutate.text_of(rng, texts)
            return text, lambda: attempt(text, rng)


def kind_of(number: int) -> str:
    """Return what an input is."""
    return {0: "call", 1: "file", 2: "file"}.get(number % 10, "program")


def examine(number: int, texts: list[str], tally: Tally) -> None:
    """Try input ``number``, and note what became of it."""
    given, tried = drawn(number, texts)
    _reset_peak()
    before, start = _memory("VmRSS"), process_time()
    signal.alarm(HANGS)
    try:
        outcome = tried()
    except maskc.MaskcError as error:
        _check(error)
        outcome = f"refused {error.code[:2]}"
    except Exception as error:
        shown = traceback.format_exception(error)[-8:]
        tally.failures.append(f"input {number}: {given!r}\n{''.join(shown)}")
        outcome = "failed"
    finally:
        signal.alarm(0)
    seconds, peak = process_time() - start, (_memory("VmHWM") - before) / 1024
    tally.outcomes[f"{kind_of(number)}: {outcome}"] += 1
    tally.slowest, tally.largest = max(tally.slowest, seconds), max(tally.largest, peak)
    if seconds > SECONDS or peak > MEGABYTES:
        tally.failures.append(f"input {number}: {seconds:.2f} s, {peak:.0f} MB: {given!r:.500}")


def warm_up() -> None:
    """Load what a first program loads."""
    program = maskc.compile_mask("causal & same_doc; score = softcap(score, 30) + alibi")
    program.bind(q_len=4, doc=[0, 0, 1, 1])
    maskc.compile_mask("input x: float; topk(x[k], 2)").bind(q_len=4, x=[0.0, 1.0, 2.0, 3.0])
    arguments.bound()
    matches(maskc.compile_mask("causal"), lambda b, h, q, k: q >= k, q_len=4)  # loads dynamo
    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("ignore")  # what is legal and likely a mistake is no fault


def run(first: int, count: int) -> Tally:
    """Examine inputs ``first`` to ``first + count - 1``."""
    warm_up()
    texts, tally = mutate.corpus(), Tally()
    for number in range(first, first + count):
        examine(number, texts, tally)
    return tally


def _job(job: tuple[int, int]) -> Tally:
    return run(*job)


def attempt(text: str, rng: random.Random) -> str:
    """Compile and bind a program; return what became of it, or raise what should not be."""
    program = maskc.compile_mask(text)
    assert program.digest
    try:
        program.bind(**_call(program, rng))
    except maskc.MaskcError as error:
        _check(error)
        return f"not bound {error.code[:2]}"
    return "bound"


def _call(program: maskc.Program, rng: random.Random) -> dict[str, Any]:
    import torch

    sizes = {"q_len": 5, "kv_len": 9, "batch_size": 2, "num_heads": 4, "num_kv_heads": 2}
    generator = torch.Generator().manual_seed(rng.randrange(2**30))
    fitting = random_inputs(program, sizes, generator) if rng.random() < 0.8 else {}
    names = [declared.name for declared in program.inputs]
    return mutate.call_of(rng, names, {**sizes, **fitting})


def _check(error: maskc.MaskcError) -> None:
    text = str(error)
    assert re.fullmatch(r"M\d\d\d", error.code), error.code
    assert text.startswith(f"error[{error.code}]: "), text
    assert max(map(len, text.splitlines())) < 1000, "a very long line in an error"


def _stop(*_: object) -> None:
    raise TimeoutError(f"stopped after {HANGS} s")


def _memory(field: str) -> int:
    """Return a field of the process's status in KiB, 0 where there is none."""
    if not STATUS.exists():
        return 0
    found = re.search(rf"{field}:\s+(\d+)", STATUS.read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


def _reset_peak() -> None:
    """Let the peak of memory be that of the next input; where that cannot be, it is the last."""
    with suppress(OSError):
        CLEAR.write_text("5", encoding="utf-8")


def tallies(jobs: list[tuple[int, int]], processes: int) -> Iterator[Tally]:
    """Yield what became of each job's inputs."""
    # A process is replaced now and then, so that what caches hold does not grow without bound.
    with get_context("spawn").Pool(processes, _start, maxtasksperchild=10) as pool:
        yield from pool.imap_unordered(_job, jobs)


def _start() -> None:
    """Leave interrupts to the process that counts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> None:
    """Run the inputs that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.count == 1:
        print(drawn(options.first, mutate.corpus())[0])
    size = max(1, min(2000, options.count // options.processes))
    last = options.first + options.count
    jobs = [(start, min(size, last - start)) for start in range(options.first, last, size)]
    total = Tally()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for tally in tallies(jobs, options.processes):
            total.add(tally)
            for failure in tally.failures:
                print(failure, flush=True)
            shown = f"{total.inputs} inputs, {len(total.failures)} failures"
            print(shown, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; {options.count} were asked for")
    print(total)
    sys.exit(bool(total.failures) or total.inputs == 0)


if __name__ == "__main__":
    main()
