"""Draw at random for as long as it is told: every property, round after round, and whole programs.

    python tests/explore.py --minutes 10

A round that has begun is ended. What fails is printed with its example, and drawn again in the
next rounds. Write it into the test as an ``@example`` and mend what is wrong, the test or the
compiler. After each round ``oracle/run.py`` holds programs of a new seed against their formulas,
unless there are arguments that are not known here: they go to pytest, such as a folder of tests.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = 300
"""Whole programs of a round."""

PROPERTIES = "hypothesis"  # the marker that hypothesis gives to its tests


def explored(minutes: float, more: list[str]) -> bool:
    """Run rounds until the time is over; return whether all of them passed."""
    end, outcomes = time.monotonic() + 60 * minutes, []
    while time.monotonic() < end:
        outcomes.append(one_round(more))
        print(f"round {len(outcomes)}: {outcomes[-1].name}", flush=True)
        if not more:
            outcomes.append(programs())
            print(f"programs: {outcomes[-1].name}", flush=True)
        if outcomes[-1] not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return False
    return set(outcomes) <= {pytest.ExitCode.OK}


def one_round(more: list[str]) -> pytest.ExitCode:
    """Run every property once."""
    command = [sys.executable, "-m", "pytest", "-m", PROPERTIES, "-p", "no:warnings", *more]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "explore"}
    return pytest.ExitCode(subprocess.run(command, cwd=ROOT, env=environment).returncode)


def programs() -> pytest.ExitCode:
    """Hold whole programs against the second meaning of the language; what fails names its seed."""
    seed = random.SystemRandom().randrange(2**31)
    command = [sys.executable, "tests/oracle/run.py", "--programs", str(PROGRAMS)]
    command += ["--seed", str(seed), "--processes", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return pytest.ExitCode(subprocess.run(command, cwd=ROOT, env=environment).returncode)


def main() -> None:
    """Explore for the minutes that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    options, more = parser.parse_known_args()
    sys.exit(not explored(options.minutes, more))


if __name__ == "__main__":
    main()
