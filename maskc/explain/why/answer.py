"""What ``why`` answers: values with a text, a form for notebooks and one for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from maskc.explain.tree import Kind, Written
from maskc.explain.why.numbers import number

LONGEST = 90
"""Characters of a label; what comes after is left out."""

SIGNS = {True: "yes", False: "no", None: "-"}

MARK = "*"


@dataclass(frozen=True, slots=True)
class Answer:
    """A node of the tree at one pair.

    Attributes:
        written: the node.
        value: its value; None where nothing asks for it, because another part rules it out.
        decides: whether it is on the way to what settles the whole.
        numbers: of a leaf, its comparison with numbers: ``57 - 12 = 45, not < 30``.
        parts: its parts.

    """

    written: Written
    value: bool | None
    decides: bool
    numbers: str
    parts: tuple[Answer, ...] = ()

    @property
    def label(self) -> str:
        """What it is called."""
        return short(self.written.label)

    @property
    def within(self) -> Answer:
        """The first node below it that is no name."""
        node = self
        while node.written.kind is Kind.NAME:
            node = node.parts[0]
        return node

    @property
    def line(self) -> str:
        """Its label, with the numbers of the leaf that it stands for."""
        told = self.within.numbers
        return f"{self.label}: {told}" if told else self.label

    @property
    def reason(self) -> str:
        """Its label, with the numbers of the leaves below it that decide."""
        leaves = [one for one in self._leaves() if one.numbers]
        told = "; ".join(dict.fromkeys(one.numbers for one in leaves))
        return f"{self.label}: {told}" if told else self.label

    def _leaves(self) -> Iterator[Answer]:
        """Yield the leaves that decide."""
        if self.written.kind is Kind.LEAF:
            yield self
        for part in self.parts:
            if part.decides:
                yield from part._leaves()

    @property
    def reasons(self) -> tuple[Answer, ...]:
        """The innermost nodes of the program's own text that decide."""
        below = self.within
        if below.written.kind in (Kind.LEAF, Kind.XOR, Kind.CHOICE):
            return (self,)
        if self.written.kind is Kind.NAME and not below.written.is_own:
            return (self,)
        return tuple(each for part in below.parts if part.decides for each in part.reasons)

    def lines(self, depth: int = 0) -> Iterator[tuple[int, Answer]]:
        """Yield it and what is below it, each with its depth; names are not told twice."""
        yield depth, self
        for part in self.within.parts:
            yield from part.lines(depth + 1)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = {
            "text": self.written.text,
            "kind": self.written.kind.value,
            "means": self.written.meaning,
            "value": self.value,
            "decides": self.decides,
        }
        if self.numbers:
            found["numbers"] = self.numbers
        if self.parts:
            found["parts"] = [part.as_dict() for part in self.parts]
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """What one ``score = ...`` makes of a score.

    Attributes:
        text: as it was written.
        filled: the same with the numbers of this pair in place, ``score`` as it came.
        value: the score after it; None where q and k, or an input, are not given.

    """

    text: str
    filled: str
    value: float | None

    @property
    def is_masked(self) -> bool:
        """Whether the score is -inf after it."""
        return self.value == -math.inf

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"text": self.text, "filled": self.filled, "value": self.value}

    def __str__(self) -> str:
        told = self.text if self.filled in ("", self.text) else f"{self.text}: {self.filled}"
        return told if self.value is None else f"{told} = {number(self.value)}"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a query sees a key or does not.

    Attributes:
        q, k: the logical positions; ``q_idx`` and ``kv_idx`` the rows.
        batch, head: of the call.
        sees: whether the query attends to the key when the program runs.
        mask: the tree with its values; None for a program without a mask.
        score: what happens to the score on the way.
        weight: of the key in its row, before any epilogue; None where q and k are not given.
        remarks: what else decides, such as a policy for rows without keys.

    """

    q: int
    k: int
    q_idx: int
    kv_idx: int
    batch: int
    head: int
    sees: bool
    mask: Answer | None
    score: tuple[Step, ...] = ()
    weight: float | None = None
    remarks: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What decides, a line each."""
        return () if self.mask is None else tuple(one.reason for one in self.mask.reasons)

    @property
    def title(self) -> str:
        """The answer in a sentence."""
        verb = "sees" if self.sees else "does not see"
        return f"query {self.q} {verb} key {self.k}{where(self)}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("q", "k", "q_idx", "kv_idx", "batch", "head", "sees")
        return {
            **{name: getattr(self, name) for name in names},
            "reasons": list(self.reasons),
            "mask": None if self.mask is None else self.mask.as_dict(),
            "score": [step.as_dict() for step in self.score],
            "weight": self.weight,
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        lines = [self.title]
        if self.mask is None:
            lines.append("  no mask: every query sees every key")
        else:
            lines += [
                f"  {SIGNS[one.value]:<4}{MARK if one.decides else ' '} {'  ' * depth}{one.line}"
                for depth, one in self.mask.lines()
            ]
            lines.append(f"  {MARK} decides")
        lines += [f"{'' if i else 'score':<7}{step}" for i, step in enumerate(self.score)]
        if self.weight is not None:
            lines.append(f"weight {number(self.weight)}")
        return "\n".join([*lines, *self.remarks])

    def _repr_html_(self) -> str:
        rows = [] if self.mask is None else [_html_row(*one) for one in self.mask.lines()]
        rows += [f"<tr><td></td><td>{escape(str(step))}</td></tr>" for step in self.score]
        if self.weight is not None:
            rows.append(f"<tr><td></td><td>weight {number(self.weight)}</td></tr>")
        rows += [f"<tr><td></td><td>{escape(remark)}</td></tr>" for remark in self.remarks]
        return f"<b>{escape(self.title)}</b>{table(rows)}"


@dataclass(frozen=True, slots=True)
class Seen:
    """Keys side by side that a query sees.

    Attributes:
        first, stop: logical positions, where they follow each other as rows do; else rows.
        before: what keeps the query from the key before; empty where there is none.
        after: likewise for the key after.

    """

    first: int
    stop: int
    before: tuple[str, ...]
    after: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        ends = {"before": list(self.before), "after": list(self.after)}
        return {"first": self.first, "stop": self.stop, **ends}

    def lines(self, rows: str) -> list[str]:
        """Return it as text."""
        count = self.stop - self.first
        if count == 1:
            head = f"  {rows} {self.first}"
        else:
            head = f"  {rows}s {self.first} to {self.stop - 1}, {count} of them"
        before = "; ".join(self.before) or "the first key"
        after = "; ".join(self.after) or "the last key"
        return [head, f"    before: {before}", f"    after:  {after}"]


@dataclass(frozen=True, slots=True)
class WhyRow:
    """Which keys a query sees, and what bounds them.

    Attributes:
        q: the logical position; ``q_idx`` the row.
        batch, head: of the call.
        count: how many keys it sees, of ``kv_len``.
        ranges: the first of them, keys side by side; ``more`` ranges follow.
        are_rows: whether ``ranges`` count rows, because positions are in no order.
        nearest: where it sees none, why it does not see one of them.
        remarks: what else decides.

    """

    q: int
    q_idx: int
    batch: int
    head: int
    count: int
    kv_len: int
    ranges: tuple[Seen, ...]
    more: int
    are_rows: bool
    nearest: Why | None
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The answer in a sentence."""
        seen = f"{self.count} of {self.kv_len} keys" if self.count else "no key"
        return f"query {self.q} sees {seen}{where(self)}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        names = ("q", "q_idx", "batch", "head", "count", "kv_len", "more", "are_rows")
        return {
            **{name: getattr(self, name) for name in names},
            "ranges": [seen.as_dict() for seen in self.ranges],
            "nearest": None if self.nearest is None else self.nearest.as_dict(),
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        rows = "key row" if self.are_rows else "key"
        lines = [self.title, *(line for seen in self.ranges for line in seen.lines(rows))]
        if self.more:
            lines.append(f"  and {self.more} more ranges")
        if self.nearest is not None:
            lines += ["for instance", str(self.nearest)]
        return "\n".join([*lines, *self.remarks])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(line)}</td></tr>" for line in str(self).splitlines()[1:])
        return f"<b>{escape(self.title)}</b>{table([rows])}"


def where(answer: Why | WhyRow) -> str:
    """Return the batch and the head of an answer, where they are not the first."""
    named = {"batch": answer.batch, "head": answer.head}
    told = ", ".join(f"{name} {value}" for name, value in named.items() if value)
    return f" ({told})" if told else ""


def short(text: str) -> str:
    """Return a text without what comes after its first characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def table(rows: list[str]) -> str:
    """Return rows as a table whose text stands to the left."""
    return f'<table style="text-align:left;font-family:monospace">{"".join(rows)}</table>'


def _html_row(depth: int, node: Answer) -> str:
    text = f'<span style="padding-left:{depth}em">{escape(node.line)}</span>'
    told = f"<b>{text}</b>" if node.decides else text
    return f"<tr><td>{SIGNS[node.value]}</td><td>{told}</td></tr>"
