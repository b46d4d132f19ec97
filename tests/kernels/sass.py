"""Compile an emitted kernel for a GPU that is not there, and count its instructions.

Triton brings NVIDIA's assembler and disassembler along, so this needs no CUDA.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import triton
from torch._inductor.codecache import PyCodeCache
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"

KERNEL = re.compile(r"async_compile\.triton\('(\w*flex_attention\w*)', '''(.*?)'''", re.DOTALL)
INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,5}\*/\s+(.*)")
LABEL = re.compile(r"\s*(\.L_x_\d+):")
BRANCH = re.compile(r"BRA.*`\((\.L_x_\d+)\)")
TENSOR_CORES = re.compile(r"HMMA|HGMMA")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a compiled kernel is made of.

    Attributes: ``partial`` and ``full`` (instructions of a step of the loop over keys, for tiles
    that the mask cuts and for those that it leaves whole; 0 where there is no such loop);
    ``total`` instructions; ``registers`` a thread; ``stack`` bytes a thread, where values that
    found no register lie; ``shared`` bytes of shared memory.
    """

    partial: int
    full: int
    total: int
    registers: int
    stack: int
    shared: int


def measure(code: str, capability: int) -> Kernel:
    """Compile the attention kernel in an emitted wrapper and count."""
    found = KERNEL.search(code)
    if found is None:
        raise AssertionError("inductor emitted no attention kernel")
    compiled = _compiled(*found.groups(), capability)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _run("cuobjdump", "-res-usage", file.name)
        listing = _run("nvdisasm", "-c", file.name)
    loops, total = _loops(listing)
    partial, full = (*loops, 0, 0)[:2]
    return Kernel(
        partial, full, total, _field("REG", usage), _field("STACK", usage), compiled.metadata.shared
    )


def _compiled(name: str, source: str, capability: int):
    """Compile the source of a kernel with the options that inductor chose for it."""
    tuned = getattr(PyCodeCache.load(source), name)
    config, meta = tuned.configs[0], tuned.triton_meta
    constants = {**meta["constants"], **config.kwargs}
    signature = {
        name: "constexpr" if name in constants else kind for name, kind in meta["signature"].items()
    }
    places = {(tuned.fn.arg_names.index(name),): value for name, value in constants.items()}
    return triton.compile(
        ASTSource(tuned.fn, signature, constexprs=places, attrs=meta["configs"][0]),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": config.num_warps, "num_stages": config.num_stages},
    )


def _run(tool: str, *args: str) -> str:
    run = subprocess.run([str(TOOLS / tool), *args], capture_output=True, text=True, check=True)
    return run.stdout


def _field(name: str, usage: str) -> int:
    found = re.search(rf"{name}:(\d+)", usage)
    assert found is not None, f"cuobjdump no longer tells {name}"
    return int(found[1])


def _loops(listing: str) -> tuple[list[int], int]:
    """Return the lengths of the loops that use tensor cores, in order, and of the whole."""
    starts: dict[str, int] = {}
    products: list[int] = []
    loops: list[int] = []
    count = 0
    for line in listing.splitlines():
        if label := LABEL.match(line):
            starts[label[1]] = count
        elif found := INSTRUCTION.match(line):
            if TENSOR_CORES.search(found[1]):
                products.append(count)
            branch = BRANCH.search(found[1])
            start = starts.get(branch[1]) if branch else None
            if start is not None and any(start <= place <= count for place in products):
                loops.append(count - start + 1)
            count += 1
    return loops, count
