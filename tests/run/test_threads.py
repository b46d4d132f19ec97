"""First use from many threads at once, in a process that has used nothing yet."""

import subprocess
import sys

import pytest

FIRST_USE = """
import sys, threading
import maskc

sys.setswitchinterval(1e-5)
TEXTS = ["causal & window(3)", "causal & same_doc", "full; score = softcap(score, 5)", "causal",
         "window(2); score = score + alibi", "topk(abs(float(k - 3)), 2) & causal"]
together = threading.Barrier(16)
wrong = []


def use(number):
    try:
        together.wait()
        import torch

        for text in TEXTS[number % 6 :] + TEXTS[: number % 6]:
            program = maskc.compile_mask(text)
            given = {{"doc": torch.tensor([0, 0, 1, 1, 1, 2]), "slopes": torch.ones(2)}}
            given = {{one.name: given[one.name] for one in program.inputs}}
            q, k, v = torch.randn(3, 1, 2, 6, 4)
            bound = program.bind_to(q, k, **given)
            expected = bound(q, k, v, backend="reference")
            torch.testing.assert_close(bound(q, k, v, backend="{backend}"), expected)
            bound.block_mask, bound.explain()
    except BaseException as error:
        wrong.append(error)


threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if wrong:
    raise wrong[0]
print("right")
"""


# Not flex: while one thread compiles, `torch.compiler.is_compiling()` is true in all of them.
@pytest.mark.distributed
@pytest.mark.parametrize("backend", ["sdpa", "auto"])
def test_sixteen_threads_compile_bind_and_call(backend: str) -> None:
    for _ in range(2):
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FIRST_USE.format(backend=backend)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert found.stdout == "right\n", found.stderr
