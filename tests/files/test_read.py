"""Hostile files: each ends in an error, after about a second of work at most and 200 MB."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from work import SECOND

from maskc.errors import LoadError
from maskc.files.read import LARGEST, read_file, read_text

MEGABYTES = 200
PATIENCE = 30
"""Seconds of a processor after which the process is killed, however slow it is."""

MERGES = "a0: &a0 {x0: 1, y0: 2}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
)

READ = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
from maskc.config.search import programs
from maskc.errors import MaskcError
from maskc.loading import read
from work import calls_of
def tell():
    global told
    try:
        read(sys.argv[1])
        told = "read"
    except MaskcError as error:
        told = str(error)
calls = calls_of(tell)
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([told, calls, peak / 1024]))
""".replace("PATIENCE", str(PATIENCE))

HOSTILE = {
    "merges.yaml": (MERGES + "mask: causal\n", "merges copy more than 10000 keys"),
    "self.yaml": ("a: &a {<<: *a}\n", "nested too deeply"),
    "deep.yaml": ("mask: " + "[" * 50_000, "nested too deeply\n --> deep.yaml:1:107"),
    "timestamp.yaml": ("mask: !!timestamp foo\n", "no `timestamp`\n --> timestamp.yaml:1:7"),
    "bool.yaml": ("mask: !!bool foo\n", "the value is no `bool`\n --> bool.yaml:1:7"),
    "int.yaml": ("mask: !!int ''\n", "the value is no `int`\n --> int.yaml:1:7"),
    "month.yaml": ("x: 1\nmask: 2001-13-99\n", "the value is no `timestamp`\n --> month.yaml:2:7"),
    "digits.yaml": ("mask: " + "9" * 10_000, "the value is no `int`\n --> digits.yaml:1:7"),
    "hex.yaml": ("mask: 0x" + "f" * 10_000, "is a huge int, expected the text"),
    "control.yaml": ("mask: a\x07b\n", "special characters are not allowed\n --> control.yaml:1:8"),
    "object.yaml": ("mask: !!python/object:os.system x\n", "could not determine a constructor"),
    "set.yaml": ("mask: !!set {a, b}\n", "is of type set, expected the text"),
    "parts.toml": (".".join(["a"] * 20_000) + " = 1\n", "more than 100 parts\n --> parts.toml:1:1"),
    "table.toml": ("[" + "a . " * 20_000 + "a]\n", "more than 100 parts\n --> table.toml:1:2"),
    "digits.toml": ("mask = 1" + "0" * 9_999, "an int has 10000 digits\n --> digits.toml:1:8"),
    "hex.toml": ("mask = 0x" + "f" * 10_000, "is a huge int, expected the text"),
    "deep.toml": ("mask = " + "[" * 50_000, "nested too deeply\n --> deep.toml:1:108"),
    "digits.json": ('{"mask": ' + "9" * 10_000 + "}", "10000 digits\n --> digits.json:1:10"),
    "deep.json": ('{"mask": ' + "[" * 50_000, "nested too deeply\n --> deep.json:1:109"),
    "long.mask": ("# " + "x" * LARGEST, f"has {LARGEST + 2} bytes, at most {LARGEST} are read"),
    "libraries.toml": (
        f'mask = "causal"\nlibrary = {json.dumps([f"{i}.mask" for i in range(3000)])}\n',
        "a program has at most 64 libraries",
    ),
}
"""Files by name, and what is said of them."""

HUGE = ("many.json", '{"mask": [' + "[]," * 340_000 + "[]]}")
"""As large as is read, and harmless."""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")


def told(ref: str) -> str:
    """Return what is said of a reference, in a process with little time and memory."""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    done = subprocess.run(
        [sys.executable, "-c", READ, os.fsencode(ref)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    text, calls, megabytes = json.loads(done.stdout)
    assert calls < SECOND
    assert megabytes < MEGABYTES
    return str(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file(name: str) -> None:
    text, expected = HOSTILE[name]
    Path(name).write_text(text, encoding="utf-8")
    found = told(name if name.endswith(".mask") else f"{name}:mask")
    assert found.startswith("error[M60")
    assert expected in found


def test_the_largest_file_is_read_in_time() -> None:
    name, text = HUGE
    Path(name).write_text(text, encoding="utf-8")
    assert "`mask` of `many.json` is a list" in told(f"{name}:mask")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file() -> None:
    os.mkfifo("pipe.mask")
    os.symlink("/dev/zero", "zero.mask")
    os.symlink("loop.mask", "loop.mask")
    Path("folder.toml").mkdir()
    with open("sparse.mask", "wb") as file:
        file.truncate(8 * 2**30)
    assert told("pipe.mask").startswith("error[M601]: cannot read `pipe.mask`: is a pipe")
    assert told("zero.mask").startswith("error[M601]: cannot read `zero.mask`: is a device")
    assert told("loop.mask").startswith("error[M601]: cannot read `loop.mask`: too many levels")
    assert told("folder.toml:mask") == "error[M601]: cannot read `folder.toml`: is a directory"
    assert told("sparse.mask").startswith(f"error[M601]: `sparse.mask` has {8 * 2**30} bytes")


def test_names_that_are_no_text() -> None:
    assert told("a\udcff.mask") == "error[M601]: there is no file `a\\udcff.mask`"
    with pytest.raises(LoadError, match=r"M601.*cannot read"):
        read_text(Path("a\ud800.mask"))
    with pytest.raises(LoadError, match=r"M601.*cannot read"):
        read_text(Path("a\0.mask"))
    assert told("x" * 5000 + ".mask").startswith("error[M601]: cannot read `xxx")
    Path("c.toml").write_text("mask = ['causal']", encoding="utf-8")
    assert told("c.toml:mask." + "9" * 5000).startswith("error[M603]")


def test_lines_end_as_they_are_written() -> None:
    Path("a.mask").write_bytes(b"causal &\r\nfull\r\n")
    file = read_file(Path("a.mask"))
    assert (file.text, file.written) == ("causal &\nfull\n", "causal &\r\nfull\r\n")
    assert file.line_end == "\r\n"
    Path("a.mask").write_bytes(b"causal")
    assert read_file(Path("a.mask")).line_end == "\n"
