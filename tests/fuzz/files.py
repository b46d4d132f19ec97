"""Files at random: configs and libraries that were right, with their bytes and lines disturbed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import maskc

MASK = "near & same_doc; score = softcap(score, 30)"
FILES = {
    "a.toml": f'[model.attention]\nmask = "{MASK}"\nlibrary = "lib.mask"\nwidth = 3\n',
    "b.toml": 'library = ["lib.mask", "other.mask"]\nmask = """\nfar &\n  causal\n"""\n',
    "a.yaml": "model:\n  attention: &a\n    mask: >-\n"
    f"      {MASK}\n    library: lib.mask\n  b: *a\n",
    "a.json": f'{{"model": {{"attention": {{"mask": "{MASK}", "library": "lib.mask"}}}}}}',
    "a.mask": 'use "lib.mask"\nuse "other.mask"\nnear & far',
    "lib.mask": "let near = causal & window(192)\ndef wide(n) = window(2 * n)\n",
    "other.mask": "let far = !window(3)\nparam layer: int = 2\n",
}
REFS = (
    "a.toml:model.attention.mask",
    "b.toml:mask",
    "a.yaml:model.attention.mask",
    "a.yaml:model.b.mask",
    "a.json:model.attention.mask",
    "a.mask",
    "lib.mask",
)
NAMES = ("a.toml", "no.toml", ".", "", "a.mask:x", "a.toml:", "a.toml:model", "a.toml:model..mask")
PIECES = (
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\r", b"\x80", b"\xed\xa0\x80", b"\t", b"\n" * 300),
    *(
        b'"""',
        b"'",
        b"[",
        b"]]" * 400,
        b"{" * 3000,
        b": ",
        b"- ",
        b"&a *a",
        b"<<: *a\n",
        b"!!int x",
    ),
    *(b"1979-05-27", b"9" * 5000, b"a.b." * 3000, b'use "a.mask"\n', b'use "."\n', b"use 3\n"),
    *(
        b'library = "a.toml"\n',
        b"null",
        b"true",
        b"[[model]]\n",
        b"model = 3\n",
        b"..\n",
        b"%YAML 1\n",
    ),
)
"""Marks of encodings, what opens and never closes, and what stands for another type."""


MOST = 2 * 2**20
"""Bytes of a file; of these, half are more than is read."""


@dataclass(frozen=True)
class Case:
    """Files of a folder, and which of them is loaded."""

    files: dict[str, bytes]
    ref: str


def draw(rng: random.Random) -> Case:
    """Return files of which mostly one is disturbed."""
    files = {name: text.encode() for name, text in FILES.items()}
    ref = rng.choice(NAMES) if rng.random() < 0.1 else rng.choice(REFS)
    loaded = ref.partition(":")[0]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        likely = [loaded] * 3 if loaded in files else []
        name = rng.choice([*likely, *files])
        files[name] = rng.choice(DISTURBANCES)(rng, files[name])
    return Case(files, ref)


def attempt(case: Case) -> str:
    """Load the program; return what became of it.

    Raises:
        MaskcError: of ours, with its place and fix; anything else is a fault.

    """
    with TemporaryDirectory() as folder, chdir(folder):
        for name, data in case.files.items():
            Path(name).write_bytes(data)
        program = maskc.load(case.ref)
        assert program.digest
        assert sorted(os.listdir()) == sorted(case.files), "loading writes nothing"
    return "loaded"


def _flip(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(PIECES) + data[at:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.choice((1, 3, 10, 1000)) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = rng.randrange(len(lines))
    return b"".join([*lines[:at], *[lines[at]] * rng.choice((2, 30, 3000)), *lines[at:]])[:MOST]


def _encode(rng: random.Random, data: bytes) -> bytes:
    return data.decode(errors="replace").encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")))


def _empty(rng: random.Random, data: bytes) -> bytes:
    return b""


DISTURBANCES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _insert,
    _cut,
    _repeat,
    _encode,
    _empty,
)
