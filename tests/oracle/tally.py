"""What became of the programs: counts by way, by refusal and by what a program has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oracle.case import Case

HALF = (torch.float16, torch.bfloat16)


@dataclass
class Tally:
    """What became of the programs.

    Attributes:
        outcomes: counts of agreements and refusals, by way.
        traits: how many programs have what is easily got wrong.
        seconds: what each way took, of one thread.
        failures: a text for each program that failed.

    """

    outcomes: Counter[str] = field(default_factory=Counter)
    traits: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def programs(self) -> int:
        """How many programs were held to their formulas."""
        return self.outcomes["programs"]

    def add(self, other: Tally) -> None:
        """Count another's programs too."""
        self.outcomes += other.outcomes
        self.traits += other.traits
        self.seconds += other.seconds
        self.failures += other.failures

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        lines = [
            f"{self.programs} programs, {len(self.failures)} failures, "
            f"{self.outcomes['not held']} not held since rounding decides; "
            f"{self.programs / max(total, 1e-9):.1f} a second of one thread",
            *_lines("of them with", self.traits),
            *_lines("refused, by code", self._refusals()),
            f"{'':16}  agrees refused   wrong    time",
        ]
        for way in sorted({name.partition(": ")[0] for name in self.outcomes if ": " in name}):
            agrees, refused, wrong = (self._count(way, kind) for kind in ("agrees", "refused", ""))
            wrong -= agrees + refused
            share = self.seconds[way] / max(total, 1e-9)
            lines.append(f"{way:16} {agrees:7} {refused:7} {wrong:7} {share:7.0%}")
        return "\n".join(lines)

    def _count(self, way: str, kind: str) -> int:
        return sum(n for name, n in self.outcomes.items() if name.startswith(f"{way}: {kind}"))

    def _refusals(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, count in self.outcomes.items():
            _, is_refused, why = name.partition(": refused ")
            if is_refused:
                found[why] += count
        return found


def _lines(title: str, counts: Counter[str]) -> Iterable[str]:
    if counts:
        yield f"{title}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())


def traits(case: Case) -> Iterable[str]:
    """Yield what a program and its call have that is easily got wrong."""
    program, call = case.program, case.program.call
    tables = [t for value in program.inputs.values() for t in _tensors(value)]
    has = {
        "half tables": any(table.dtype in HALF for table in tables),
        "half q, k and v": call.dtype in HALF,
        "negative positions": bool(call.below),
        "offsets or positions": any(name.startswith(("q_", "kv_")) for name in call.keywords),
        "positions above 256": call.furthest > 256,
        "positions above 2048": call.furthest > 2048,
        "a head offset": bool(call.head_offset),
        "a scale of 0 or less": call.scale is not None and call.scale <= 0,
        "grouped heads": call.num_heads > call.num_kv_heads,
        "a row without a key": bool(case.expected.empty.any()),
        "keys never written": bool(call.poisoned),
        "a pair for one input": any(isinstance(one, tuple) for one in program.inputs.values()),
        "a selection": program.selects,
        "a score": bool(program.steps),
        "an epilogue": program.out is not None,
        "a grid": "axis" in program.uses,
    }
    return [name for name, is_so in has.items() if is_so]


def _tensors(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
