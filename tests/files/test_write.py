"""Writing: the file is the old one or the new one, whatever happens meanwhile."""

import os
import random
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskc.errors import LoadError
from maskc.files.write import write_bytes, write_text

ROOT = Path(__file__).parents[2]
OLD = "causal&window( 512 )\n" * 4000
NEW = "causal & window(512)\n" * 4000

FORMAT = """
import sys, time
from maskc.cli import main
from maskc.syntax.parse import parse
from maskc.source import Source
parse(Source("causal"))
print("ready", flush=True)
while True:
    main(["fmt", "a.mask"], standalone_mode=False)
    with open("b.mask", "rb") as old, open("c.mask", "wb") as new:
        new.write(old.read())
    __import__("os").replace("c.mask", "a.mask")
"""
"""Formats one file again and again, so that most moments are moments of writing."""


NO_BYTECODE = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
"""Where files are cut short, Python would cut the bytecode that it keeps of maskc's own sources."""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def maskc(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from maskc.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command,
        **{"capture_output": True, "text": True, "timeout": 120, "env": environment, **options},
    )


def killed(moment: float) -> str:
    """Return what a file holds after `fmt` was killed while it worked on it."""
    Path("a.mask").write_text(SMALL_OLD, encoding="utf-8")
    Path("b.mask").write_text(SMALL_OLD, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", FORMAT], stdout=subprocess.PIPE, env=environment
    ) as work:
        assert work.stdout is not None
        assert work.stdout.readline() == b"ready\n"
        time.sleep(moment)
        work.kill()
    return Path("a.mask").read_text(encoding="utf-8")


SMALL_OLD, SMALL_NEW = OLD[: 21 * 40], NEW[: 21 * 40]


def check_kills(count: int, seed: int) -> None:
    draw = random.Random(seed)
    found = [killed(draw.uniform(0.0, 0.2)) for _ in range(count)]
    assert {*found} <= {SMALL_OLD, SMALL_NEW}


@pytest.mark.processes
def test_a_kill_leaves_the_old_file_or_the_new_one() -> None:
    check_kills(20, seed=0)


@pytest.mark.planted
def test_two_hundred_kills() -> None:
    check_kills(200, seed=1)


def test_readers_see_the_old_file_or_the_new_one() -> None:
    path = Path("a.mask")
    path.write_text(OLD, encoding="utf-8")
    script = (
        "from pathlib import Path\n"
        f"seen = {{Path('a.mask').stat().st_size for _ in range(20_000)}}\n"
        f"assert seen <= {{{len(OLD)}, {len(NEW)}}}, seen\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as reader:
        while reader.poll() is None:
            write_text(path, NEW)
            write_text(path, OLD)
    assert reader.returncode == 0


def test_a_full_disk_leaves_the_old_file() -> None:
    """A limit on the size of files stands for the full disk: both cut a write short."""
    Path("a.mask").write_text(SMALL_OLD, encoding="utf-8")

    def limited() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = maskc("fmt", "a.mask", preexec_fn=limited, env=NO_BYTECODE)
    assert done.returncode == 1
    assert done.stderr.startswith("error[M605]: cannot write `a.mask`: file too large")
    assert done.stdout == ""
    assert Path("a.mask").read_text(encoding="utf-8") == SMALL_OLD
    assert os.listdir() == ["a.mask"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize(
    "arguments",
    [("check", "causal"), ("explain", "causal"), ("list",), ("check", "--help"), ("--version",)],
)
def test_output_to_a_full_disk(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = maskc(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == "error[M605]: cannot write the output: no space left on device\n"


@pytest.mark.parametrize("arguments", [("check", "causal"), ("list",)])
def test_output_to_a_closed_pipe(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = maskc(*arguments, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == "error[M605]: cannot write the output: broken pipe\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_what_is_not_written_is_not_said_to_be() -> None:
    done = maskc("emit", "causal", "-o", "/dev/full")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error[M605]: cannot write `/dev/full`: no space left on device\n"


def test_mode_and_links_stay() -> None:
    Path("real").mkdir()
    target = Path("real/a.mask")
    target.write_text("causal&full", encoding="utf-8")
    target.chmod(0o640)
    Path("link.mask").symlink_to("real/a.mask")
    write_text(Path("link.mask"), "new")
    assert Path("link.mask").is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    Path("dangling.mask").symlink_to("real/b.mask")
    write_text(Path("dangling.mask"), "new")
    assert Path("real/b.mask").read_text(encoding="utf-8") == "new"
    assert sorted(os.listdir("real")) == ["a.mask", "b.mask"]


def test_a_new_file_has_the_usual_mode() -> None:
    Path("usual").write_text("")
    write_text(Path("new"), "")
    assert Path("new").stat().st_mode == Path("usual").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_without_a_reader_is_not_waited_for() -> None:
    os.mkfifo("pipe")
    with pytest.raises(LoadError, match=r"M605.*cannot write `pipe`: no such device"):
        write_bytes(Path("pipe"), b"x")
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.processes
@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs a name for the output")
def test_a_pipe_with_a_reader_is_written_to() -> None:
    done = maskc("emit", "causal", "-o", "/dev/stdout")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == maskc("emit", "causal").stdout + "wrote /dev/stdout\n"


@pytest.mark.processes
def test_lines_keep_their_ends_and_nothing_stays_nothing() -> None:
    files = {"crlf": b"causal&full\r\n", "fine": b"causal & full\r\n", "empty": b"", "end": b"full"}
    for name, data in files.items():
        Path(f"{name}.mask").write_bytes(data)
    done = maskc("fmt", "--check", ".")
    assert done.stdout == "crlf.mask: would change\nend.mask: would change\n"
    done = maskc("fmt", ".")
    assert done.stdout == "crlf.mask: formatted\nend.mask: formatted\n"
    assert Path("crlf.mask").read_bytes() == Path("fine.mask").read_bytes() == files["fine"]
    assert Path("empty.mask").read_bytes() == b""
    assert Path("end.mask").read_bytes() == b"full\n"
    assert maskc("fmt", "--check", ".").returncode == 0
