"""Throw programs at the compiler that atheris makes, guided by the coverage of maskc.

    pip install atheris
    python tests/fuzz/guided.py -max_total_time=600

Starts from the corpus of ``mutate.py``. Arguments are libFuzzer's. It ends at the first input that
becomes neither a program nor a MaskcError, or takes longer than ``run.SECONDS``, and keeps it.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
from pathlib import Path
from time import process_time

import atheris

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

with atheris.instrument_imports(include=["maskc"]):
    import mutate
    import run

    run.warm_up()  # what is imported where it is used is instrumented too

signal.signal(signal.SIGALRM, signal.SIG_IGN)  # libFuzzer sets alarms of its own


def one(data: bytes) -> None:
    """Compile and bind the program that these bytes are."""
    start = process_time()
    run.attempt(data.decode("utf-8", "replace"), random.Random(0))
    assert process_time() - start < run.SECONDS


def main() -> None:
    """Run until stopped."""
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(mutate.corpus()):
            (Path(folder) / str(number)).write_text(text, encoding="utf-8")
        atheris.Setup([*sys.argv, "-max_len=400", folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
