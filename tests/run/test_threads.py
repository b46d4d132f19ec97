"""First use from many threads at once, in a process that has used nothing yet."""

import subprocess
import sys
import threading

import pytest
import torch

import maskc
from maskc.ir.nodes import Expr
from maskc.lower import flex
from maskc.lower.codegen.tensors import Kind, generate

FIRST_USE = """
import sys, threading
import maskc

sys.setswitchinterval(1e-5)
TEXTS = ["causal & window(3)", "causal & same_doc", "full; score = softcap(score, 5)", "causal",
         "window(2); score = score + alibi", "topk(abs(float(k - 3)), 2) & causal"][:{most}]
together = threading.Barrier(16)
wrong = []


def use(number):
    try:
        together.wait()
        import torch

        for text in TEXTS[number % {most} :] + TEXTS[: number % {most}]:
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


@pytest.mark.distributed
@pytest.mark.parametrize("backend", ["sdpa", "auto"])
def test_sixteen_threads_compile_bind_and_call(backend: str) -> None:
    for _ in range(2):
        use(backend, programs=6)


@pytest.mark.compiled
@pytest.mark.distributed
def test_sixteen_threads_compile_kernels() -> None:
    """While one thread traces, ``torch.compiler.is_compiling()`` is true in all of them."""
    use("flex", programs=2)


def use(backend: str, programs: int) -> None:
    source = FIRST_USE.format(backend=backend, most=programs)
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", source], capture_output=True, text=True, timeout=500
    )
    assert found.stdout == "right\n", found.stderr


def test_threads_get_one_code_object_of_a_program() -> None:
    """A second one would be compiled again, and so would each other."""
    for number in range(20):
        mask = maskc.compile_mask(f"q_idx - kv_idx < {1000 + number}").module.mask
        together, found = threading.Barrier(8), []

        def write(mask: Expr = mask) -> None:
            together.wait()  # noqa: B023
            found.append(generate(mask, Kind.MASK))  # noqa: B023

        threads = [threading.Thread(target=write) for _ in range(8)]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
        assert len({id(one) for one in found}) == 1


def test_the_limits_of_dynamo_are_those_of_a_thread() -> None:
    """So no thread lowers them in the middle of another one's call."""
    inside, checked = threading.Barrier(2), []

    def look() -> None:
        inside.wait()
        checked.append(torch._dynamo.config.recompile_limit)

    thread = threading.Thread(target=look)
    thread.start()
    with flex._many_programs():
        inside.wait()
        thread.join()
        assert torch._dynamo.config.recompile_limit == flex.COMPILED_PROGRAMS
    assert checked != [flex.COMPILED_PROGRAMS]
