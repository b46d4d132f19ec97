"""Contenders that take turns, so that all meet the same machine, each several times in a row.

The first call of a row finds another contender's code and data in the processor's caches, as a call
in a training loop does; those after it find their own, as in a loop that is timed. Both are told:
the median counts all calls, ``after_others`` the first of each row.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

Run = Callable[[], object]
IN_A_ROW = 5


@dataclass
class Times:
    """The seconds of each call, and of the first of each row."""

    every: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of all calls."""
        return statistics.median(self.every)

    @property
    def after_others(self) -> float:
        """The median of the calls that follow another contender's."""
        return statistics.median(self.firsts)


def in_turns(
    runs: Mapping[str, Run],
    rounds: int,
    *,
    clock: Callable[[str, Run], float] | None = None,
    budget: float = 2.0,
) -> dict[str, Times]:
    """Return the times of contenders by name.

    Args:
        runs: what is called.
        rounds: rows of ``IN_A_ROW`` calls for each.
        clock: returns the seconds of one call.
        budget: seconds that one contender may take in all; it is called once at least.

    """
    clock = clock or clocked
    times = {name: Times() for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken = times[name]
            for place in range(IN_A_ROW):
                if taken.every and sum(taken.every) + taken.every[-1] > budget:
                    break
                seconds = clock(name, run)
                taken.every.append(seconds)
                if not place:
                    taken.firsts.append(seconds)
    return times


def clocked(name: str, run: Run) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Let a command be told how many threads torch may use."""
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 if not given")


def use_threads(count: int) -> None:
    """Let torch use so many threads."""
    torch.set_num_threads(count)
