"""Count the instructions of FlexAttention's kernels on a GPU, which need not be there.

    make kernels [ARGS="--only documents"]

Inductor emits the kernel of each form as for a GPU; triton compiles it for an A100 (sm_80) and an
H100 (sm_90), and the instructions of one step over 128 or 64 keys are counted, in tiles that the
mask cuts (partial) and in whole ones (full). A form is compared with the first of its group, which
is maskc's (`by_hand/kernels.py`): another way to lower the same mask, or the same by hand. Fewer
instructions are no proof of less time, but a kernel here is bound by them, and values on the stack
cost more.

Each row goes into ``benchmarks/results/kernels.json`` as soon as it is counted, and all of them
into the table of ``docs/gpu-kernels.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from by_hand.kernels import HEADS, LENGTH, Form, forms

from maskc import compile_mask

HERE = Path(__file__).parent
WIDTH = 64
CAPABILITIES = (90, 80)
RESULTS = HERE / "results" / "kernels.json"
PAGE = HERE.parent / "docs" / "gpu-kernels.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
HEAD = """
| mask or score | form | sm_90: step | stack | ratio | sm_80: step | stack | ratio |
|---|---|---|---|---|---|---|---|""".strip()


def emitted(form: Form, capability: int) -> str:
    """Return the code of a form's forward kernel, in half precision."""
    import attend
    from fake_gpu import fake_gpu
    from mirror import NotRunError

    bound = compile_mask(form.text).bind(q_len=LENGTH, num_heads=HEADS, **form.inputs)
    args = attend.gpu_args(bound)
    qkv = tuple(torch.empty(3, 1, HEADS, LENGTH, WIDTH, dtype=torch.float16))
    with fake_gpu(capability) as mirror:
        mirror.runs = False
        by_hand = {"score_mod": form.score_mod} if form.score_mod else {}
        mask_mod = form.mask_mod
        with suppress(NotRunError):
            attend.call_forward(mirror, args, qkv, mask_mod=mask_mod, **by_hand)
        return mirror.codes[-1]


def measured(only: list[str]) -> Iterator[dict[str, Any]]:
    """Compile the forms, and print a line each."""
    import sass

    first: dict[tuple[str, int], int] = {}
    print(f"{'group':10} {'form':18}    sm partial  full total regs stack  step")
    for form in forms():
        if only and form.group not in only:
            continue
        for capability in CAPABILITIES:
            kernel = sass.measure(emitted(form, capability), capability)
            base = first.setdefault((form.group, capability), kernel.partial)
            row = {
                "group": form.group,
                "form": form.name,
                "sm": capability,
                **asdict(kernel),
                "ratio": round(kernel.partial / base, 3),
            }
            print(
                f"{form.group:10} {form.name:18} sm_{capability} {kernel.partial:6} "
                f"{kernel.full:5} {kernel.total:5} {kernel.registers:4} {kernel.stack:5} "
                f"{row['ratio']:5.2f}",
                flush=True,
            )
            yield row


def main() -> None:
    """Count, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="groups")
    options = parser.parse_args()
    if find_spec("triton") is None:
        print("not counted: triton is missing here; `make kernels` brings it along")
        return
    sys.path.append(str(HERE.parent / "tests" / "kernels"))
    for row in measured(options.only):
        keep(row)
    write_table()


def kept() -> list[dict[str, Any]]:
    """Return the rows of earlier runs."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))["kernels"] if RESULTS.exists() else []


def keep(row: dict[str, Any]) -> None:
    """Write a row among those of earlier runs, in place of its own."""
    old = kept()
    names = ("group", "form", "sm")
    others = [each for each in old if any(each[name] != row[name] for name in names)]
    setting = {"torch": torch.__version__, "length": LENGTH, "width": WIDTH}
    text = json.dumps({**setting, "kernels": [*others, row]}, indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def key(form: Form) -> tuple[str, str]:
    """Return what a form is found by."""
    return form.group, form.name


def shown(row: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the cells of a row for one chip; a form that was not counted has dashes."""
    if row is None:
        return "-", "-", "-"
    return str(row["partial"]), str(row["stack"]), f"{row['ratio']:.2f}"


def write_table() -> None:
    """Write the table of the page, in the order of the forms."""
    rows = {(row["group"], row["form"], row["sm"]): row for row in kept()}
    lines = [HEAD]
    for form in forms():
        cells = [cell for sm in CAPABILITIES for cell in shown(rows.get((*key(form), sm)))]
        lines.append(f"| {form.group} | {form.name} | {' | '.join(cells)} |")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(lines)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
