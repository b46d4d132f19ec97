"""Hold random programs against a second, independent meaning of the language.

    python tests/oracle/run.py --programs 5000 --seed 1

Every program has a number; ``--first N --programs 1`` runs program N of the seed alone, and
prints it. Progress goes to stderr; what is found and the counts at the end go to stdout, those of
a run that is interrupted too.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, thread_time

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

import maskc  # noqa: E402
from oracle.attention import Expected, attend, tensors_of  # noqa: E402
from oracle.case import Case  # noqa: E402
from oracle.programs import Program, draw_program  # noqa: E402
from oracle.tally import Tally, traits  # noqa: E402
from oracle.terms import NEAR  # noqa: E402
from oracle.ways import SLOW, WAYS, is_open, quietly  # noqa: E402

REFUSALS = {
    "M429": "ints that may leave 32 bits",
    "M433": "ints that decide as floats and may be too large for them",
    "M507": "an epilogue or a policy that keywords do not carry",
    "M510": "a bias that cannot be folded",
    "M512": "a policy that depends on scores",
}
"""Codes that a valid program may meet, and why."""

EMPTY_ROW = "M421"
"""The code of a row without a key, where the policy is to refuse it."""


def run(seed: int, numbers: Iterable[int]) -> Tally:
    """Hold some programs of a seed to their formulas."""
    tally = Tally()
    for number in numbers:
        examine(seed, number, tally)
    return tally


def examine(seed: int, number: int, tally: Tally) -> None:
    """Hold program ``number`` to its formula, and note what became of it."""
    program = draw_program(f"{seed} {number}")
    ways = [name for name in WAYS if is_open(name, program)]
    ways += [name for name, (every, _) in SLOW.items()
             if number % every == 0 and is_open(name, program)]  # fmt: skip
    case = case_of(program, number)
    if case is None:
        tally.outcomes["not held"] += 1
        return
    tally.outcomes["programs"] += 1
    tally.traits.update(traits(case))
    tally.traits["an emitted file"] += any(name.startswith("emitted") for name in ways)
    wrong: dict[str, str] = {}
    for name in ways:
        start = thread_time()
        found, outcome = hold(case, name)
        tally.outcomes[outcome] += 1
        tally.seconds[name] += thread_time() - start
        if found is not None:
            wrong[name] = found
    if wrong:
        tally.failures.append(report(seed, number, program, wrong))


def hold(case: Case, name: str) -> tuple[str | None, str]:
    """Take one way; return what was wrong, if anything, and what to count."""
    way = WAYS[name] if name in WAYS else SLOW[name][1]
    must_refuse = case.program.call.empty_rows == "error" and bool(case.expected.empty.any())
    try:
        found = quietly(way, case)
    except maskc.MaskcError as error:
        allowed = error.code in REFUSALS or (must_refuse and error.code == EMPTY_ROW)
        return (None if allowed else str(error)), f"{name}: refused {error.code}"
    except Exception as error:
        if must_refuse and name.startswith("emitted") and "has no key" in str(error):
            return None, f"{name}: refused a row without a key"
        if name.startswith("emitted") and "decides as a float" in str(error):
            return None, f"{name}: refused ints that floats do not hold"
        return _raised(error), f"{name}: failed"
    if must_refuse and found is None:
        found = "a row has no key, and that was no error"
    return found, f"{name}: {'agrees' if found is None else 'wrong'}"


def _raised(error: Exception) -> str:
    """Return an exception in one line, with the place that raised it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    lines = str(error).strip().splitlines() or [""]
    at = f"{Path(last.filename).name}, {last.name}"
    return f"{type(error).__name__} in {at}: {lines[0][:200]}"


def case_of(program: Program, seed: int) -> Case | None:
    """Return a program with its tensors and what it must give; None if rounding decides."""
    qkv = tensors_of(program.call, seed)
    expected = attend(program, *qkv)
    if expected.nearest < NEAR:
        return None
    given = poison(program, qkv, expected) if program.call.poisoned else qkv
    return Case(program, given, expected)


def poison(
    program: Program, qkv: tuple[Tensor, Tensor, Tensor], expected: Expected
) -> tuple[Tensor, Tensor, Tensor]:
    """Return k and v with infinities and NaN where no query of the call looks."""
    call = program.call
    seen = expected.mask.any(2).unflatten(1, (call.num_kv_heads, -1)).any(2)
    q, k, v = qkv
    k = torch.where(seen[..., None], k, torch.inf)
    return q, k, torch.where(seen[..., None], v, torch.nan) if "v" in call.poisoned else v


def report(seed: int, number: int, program: Program, wrong: dict[str, str]) -> str:
    """Return what to print of a failure, with the program made as small as it still fails."""
    name = next(iter(wrong))
    least = shrink(program, name, number)
    if (case := case_of(least, number)) is not None:
        held = {way: hold(case, way)[0] for way in wrong if is_open(way, least)}
        wrong = {way: found for way, found in held.items() if found is not None} or wrong
    lines = [f"program {number} of seed {seed}, as small as it fails by {name}:"]
    lines += [f"    {line}" for line in least.text.splitlines()]
    lines += [f"  {least.call}"]
    lines += [f"  {key}: {_shape(value)}" for key, value in least.inputs.items()]
    for found in dict.fromkeys(wrong.values()):
        ways = [way for way, sentence in wrong.items() if sentence == found]
        lines.append(f"  {', '.join(ways)}: {found}")
    return "\n".join(lines)


def _shape(value: object) -> str:
    if isinstance(value, tuple):
        return " and ".join(_shape(part) for part in value)
    assert isinstance(value, Tensor)
    low, high = value.aminmax()
    shape = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return f"{shape}, {low.item()} to {high.item()}"


def shrink(program: Program, name: str, seed: int) -> Program:
    """Return the program without the parts that it fails without."""
    for smaller in [*program.smaller(), *_plainer(program)]:
        if is_open(name, smaller) and (case := case_of(smaller, seed)) is not None:
            torch._dynamo.reset()
            if hold(case, name)[0] is not None:
                return shrink(smaller, name, seed)
    return program


def _plainer(program: Program) -> list[Program]:
    """Return the program in plainer calls."""
    changes = {"scale": None, "dtype": torch.float64, "empty_rows": "zero", "poisoned": ""}
    return [
        replace(program, call=replace(program.call, **{name: value}))
        for name, value in changes.items()
        if getattr(program.call, name) != value
    ]


STEP = 50
"""Programs of a job."""


def _start() -> None:
    """Leave interrupts to the process that counts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _job(job: tuple[int, range]) -> Tally:
    return run(*job)


def tallies(seed: int, numbers: range, processes: int) -> Iterator[Tally]:
    """Yield what became of some programs at a time."""
    jobs = [(seed, numbers[start : start + STEP]) for start in range(0, len(numbers), STEP)]
    # A process is replaced now and then, so that what dynamo keeps does not grow without bound.
    with get_context("spawn").Pool(processes, _start, maxtasksperchild=10) as pool:
        yield from pool.imap_unordered(_job, jobs)


def main() -> None:
    """Run the programs that the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--programs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.programs == 1:
        program = draw_program(f"{options.seed} {options.first}")
        print(program.text, program.call, sep="\n")
    numbers = range(options.first, options.first + options.programs)
    total, start = Tally(), monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for tally in tallies(options.seed, numbers, options.processes):
            total.add(tally)
            for failure in tally.failures:
                print(failure, flush=True)
            done, seconds = total.programs, monotonic() - start
            shown = f"{done} programs, {len(total.failures)} failures, {seconds:.0f} s"
            print(shown, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; {options.programs} were asked for")
    print(total, f"{monotonic() - start:.0f} s, {options.processes} processes", sep="\n")
    sys.exit(bool(total.failures) or total.programs == 0)


if __name__ == "__main__":
    main()
