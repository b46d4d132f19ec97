"""Programs and calls at random: generated from the language, and mutated from a corpus."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r"\w+|\s+|[<>=!*/]+|.", re.DOTALL)

WORDS = """
    q k head kv_head batch b kv q_idx kv_idx q_len kv_len num_heads num_kv_heads batch_size
    score out lse mask let def param input axis from if else and or not true false inf int float
    bool where abs min max clamp exp log log2 sqrt rsqrt tanh sigmoid sin cos floor ceil round
    topk causal window same_doc valid_keys prefix chunked sinks dilated softcap alibi relpos
    t5_bucket doc valid slopes prefix_len layer x y n h w full
""".split()  # noqa: SIM905 - a list would take a line a word
SIGNS = [*"()[],;\n=<>+-*/%&|^!~:.#\\@${}'\"", "==", "!=", "<=", ">=", "//", "**"]
NUMBERS = """
    0 1 2 3 7 64 512 2147483647 2147483648 9999999999999999999999 1_000 0.0 0.5 30.0 1e300
    1e-300 1e999 1.5e 3. .5 00 0x10 1__0 -1
""".split()  # noqa: SIM905
STRANGE = [
    "\0",
    "\ufeff",
    "\u202e",
    "\u0430",
    "\u2264",
    "\xa0",
    "\r\n",
    "\t",
    "\u200b",
    "😀",
    "\ud800",
]


POWERS = ("+", "-", "*", "/", "//", "%", "**")


def corpus() -> list[str]:
    """Return programs to mutate: the prelude by definition, the examples, and the fixtures."""
    prelude = (ROOT / "grammar" / "prelude.mask").read_text(encoding="utf-8").splitlines()
    texts = [line for line in prelude if line and not line.startswith("#")]
    for pattern in ("examples/**/*.mask", "grammar/README.md", "README.md"):
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            texts += (
                re.findall(r"```mask\n(.*?)```", text, re.S) if path.suffix == ".md" else [text]
            )
    for path in sorted(ROOT.glob("tests/fixtures/**/*.txt")):
        blocks = re.split(r"^=== .*\n", path.read_text(encoding="utf-8"), flags=re.M)[1:]
        texts += [block.split("\n---", 1)[0] for block in blocks]
    return [text for text in texts if len(text) < 3000]


def text_of(rng: random.Random, texts: list[str]) -> str:
    """Return a program: one drawn from the language, or one of the corpus, mutated."""
    text = generated(rng) if rng.random() < 0.7 else rng.choice(texts)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 1, 2, 3, 8))):
        text = rng.choice(MUTATIONS)(rng, text, texts)
    return text[:20_000]


def generated(rng: random.Random) -> str:
    """Return statements that are mostly well formed, and often well typed."""
    lines = [_INPUTS] if rng.random() < 0.8 else []
    lines += [rng.choice(_STATEMENTS)(rng) for _ in range(rng.choice((0, 0, 0, 1, 3)))]
    lines.append(_mask(rng, 3))
    if rng.random() < 0.5:
        lines.append(f"score = {_float(rng, 3)}")
    if rng.random() < 0.2:
        lines.append(f"out = out * {_float(rng, 2)}")
    return rng.choice(("; ", "\n")).join(lines)


def call_of(rng: random.Random, names: list[str], fitting: dict[str, Any]) -> dict[str, Any]:
    """Return keywords for ``bind``: those that fit, or some that may not."""
    sizes = {
        "q_len": rng.choice((1, 2, 5, 9)),
        "kv_len": rng.choice((1, 3, 9)),
        "batch_size": rng.choice((1, 2)),
        "num_heads": rng.choice((1, 4)),
    }
    call: dict[str, Any] = {**sizes, **fitting} if rng.random() < 0.5 else {**fitting}
    for name in names:
        if rng.random() < 0.3:
            call[name] = _value(rng)
    for name in ("q_offset", "kv_positions", "head_offset", "block_size", "num_kv_heads", "q_len"):
        if rng.random() < 0.1:
            call[name] = _value(rng)
    if rng.random() < 0.05:
        call[rng.choice(WORDS)] = _value(rng)
    return {"q_len": 5, **call}


def _value(rng: random.Random) -> Any:
    shape = [rng.choice((0, 1, 2, 4, 5, 9)) for _ in range(rng.randint(0, 4))]
    makers: list[Callable[[], Any]] = [
        lambda: torch.randint(-3, 12, shape),
        lambda: torch.randint(0, 2, shape).bool(),
        lambda: torch.randn(shape),
        lambda: torch.full(shape, float("nan")),
        lambda: torch.full(shape, 2**62),
        lambda: torch.zeros(shape, dtype=torch.complex64),
        lambda: (torch.randint(0, 3, shape), torch.randint(0, 3, shape)),
        lambda: rng.choice((None, "3", -1, 0, 1, 2**40, 2**70, 1.5, float("nan"), True, [], {})),
        lambda: [[1, 2], [3]],
    ]
    return rng.choice(makers)()


def _number(rng: random.Random) -> str:
    """Return a number, seldom one that the language refuses."""
    return rng.choice(NUMBERS if rng.random() < 0.05 else ("0", "1", "2", "3", "7", "64", "512"))


def _mask(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(("causal", "same_doc", "valid[k]", "k < n", "x[q] < y[k]", "true"))
    inner = depth - 1
    forms = (
        lambda: f"({_mask(rng, inner)} {rng.choice('&|^')} {_mask(rng, inner)})",
        lambda: f"!{_mask(rng, inner)}",
        lambda: f"{_int(rng, inner)} {rng.choice(('<', '<=', '==', '!='))} {_int(rng, inner)}",
        lambda: f"{_int(rng, inner)} <= {_int(rng, inner)} < {_int(rng, inner)}",
        lambda: f"where({_mask(rng, inner)}, {_mask(rng, inner)}, {_mask(rng, inner)})",
        lambda: f"window({_int(rng, 0)})",
        lambda: f"{_float(rng, inner)} > {_float(rng, inner)}",
        lambda: f"topk({_float(rng, 0)}, {_number(rng)})",
    )
    return rng.choice(forms)()


def _int(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(("q", "k", "head", "batch", "q - k", "kv_len", "3", _number(rng)))
    inner = depth - 1
    forms = (
        lambda: f"({_int(rng, inner)} {rng.choice(['+', '-', '*', '//', '%'])} {_int(rng, inner)})",
        lambda: f"{rng.choice(('abs', 'int', '-'))}({_int(rng, inner)})",
        lambda: f"{rng.choice(('min', 'max'))}({_int(rng, inner)}, {_int(rng, inner)})",
        lambda: f"doc[{_int(rng, inner)}]",
        lambda: f"({_int(rng, inner)} if {_mask(rng, inner)} else {_int(rng, inner)})",
        lambda: f"{_int(rng, 0)} ** {rng.choice(('2', '3', '2', '3', '9**9**9', '-1'))}",
    )
    return rng.choice(forms)()


def _float(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(("score", "1.5", "inf", "alibi", "slopes[head]", "float(k)", "-0.0"))
    inner = depth - 1
    forms = (
        lambda: f"({_float(rng, inner)} {rng.choice(POWERS)} {_float(rng, 0)})",
        lambda: f"{rng.choice(('exp', 'log', 'sqrt', 'tanh', 'rsqrt'))}({_float(rng, inner)})",
        lambda: f"softcap({_float(rng, inner)}, {_float(rng, 0)})",
        lambda: f"where({_mask(rng, inner)}, {_float(rng, inner)}, {_float(rng, inner)})",
        lambda: f"clamp({_float(rng, inner)}, {_float(rng, 0)}, {_int(rng, 0)})",
    )
    return rng.choice(forms)()


_INPUTS = "input n: int\ninput x: int\ninput y: int"

_STATEMENTS: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: "input z: int",
    lambda rng: f"param n{rng.choice(('', ': int', ': float'))} = {_number(rng)}",
    lambda rng: f"let near = {_mask(rng, 2)}",
    lambda rng: f"def f(x, y = {_int(rng, 1)}) = {_int(rng, 1)} + x * y",
    lambda rng: f"axis h = {_number(rng)}, w = 3 from {_number(rng)}",
    lambda rng: f"let big = {' + '.join(['q'] * rng.choice((2, 50, 400)))}",
    lambda rng: "param layer: int",
)


def _drop(rng: random.Random, text: str, _: list[str]) -> str:
    tokens = TOKEN.findall(text)
    if tokens:
        start = rng.randrange(len(tokens))
        del tokens[start : start + rng.choice((1, 1, 2, 5))]
    return "".join(tokens)


def _swap(rng: random.Random, text: str, _: list[str]) -> str:
    tokens = TOKEN.findall(text)
    if len(tokens) > 1:
        one, two = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        tokens[one], tokens[two] = tokens[two], tokens[one]
    return "".join(tokens)


def _insert(rng: random.Random, text: str, _: list[str]) -> str:
    tokens = TOKEN.findall(text)
    kind = rng.choice((WORDS, SIGNS, NUMBERS, STRANGE))
    tokens.insert(rng.randint(0, len(tokens)), rng.choice(kind))
    return "".join(tokens)


def _replace(rng: random.Random, text: str, _: list[str]) -> str:
    tokens = TOKEN.findall(text)
    if tokens:
        tokens[rng.randrange(len(tokens))] = rng.choice(rng.choice((WORDS, SIGNS, NUMBERS)))
    return "".join(tokens)


def _splice(rng: random.Random, text: str, texts: list[str]) -> str:
    other = rng.choice(texts)
    cut, start = rng.randint(0, len(text)), rng.randint(0, len(other))
    return text[:cut] + other[start:]


def _repeat(rng: random.Random, text: str, _: list[str]) -> str:
    start = rng.randint(0, len(text))
    piece = text[start : start + rng.choice((1, 3, 20))]
    return text[:start] + piece * rng.choice((2, 3, 30, 300)) + text[start:]


def _nest(rng: random.Random, text: str, _: list[str]) -> str:
    depth = rng.choice((2, 30, 79, 300))
    return "".join((rng.choice(("(", "-", "!", "abs(")) * depth, text, ")" * depth))


def _join(rng: random.Random, text: str, texts: list[str]) -> str:
    return f"({text}){rng.choice((' & ', ' | ', '; ', ' + '))}({rng.choice(texts)})"


def _character(rng: random.Random, text: str, _: list[str]) -> str:
    place = rng.randint(0, len(text))
    return (
        text[:place] + chr(rng.choice((rng.randrange(128), rng.randrange(0xD7FF)))) + text[place:]
    )


MUTATIONS: tuple[Callable[[random.Random, str, list[str]], str], ...] = (
    _drop,
    _swap,
    _insert,
    _replace,
    _splice,
    _repeat,
    _nest,
    _join,
    _character,
    _replace,
    _drop,
)
