"""``maskc diff``: the backends against each other on random tensors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.output import json_option, say_json
from maskc.view.terminal import console, print_table, say

if TYPE_CHECKING:
    from maskc.testing.report import Report, Result


@click.command()
@arguments.program_argument
@arguments.define_option
@arguments.size_options(b=2, h=4, q=128)
@arguments.offset_options
@click.option(
    "--d",
    type=click.IntRange(min=1),
    metavar="N",
    default=64,
    show_default=True,
    help="Width of q, k and v.",
)
@click.option(
    "--dtype",
    type=click.Choice(arguments.DTYPES),
    default="float32",
    show_default=True,
    help="Of q, k and v.",
)
@click.option(
    "--device",
    metavar="NAME",
    default="cpu",
    show_default=True,
    help="Where to run: cpu, cuda, ...",
)
@click.option(
    "--backends",
    metavar="NAMES",
    help="Which to run, with commas between.  [default: every one but forms of another]",
)
@click.option(
    "--tolerance",
    metavar="ERROR",
    type=float,
    help="The largest error allowed.  [default: by dtype]",
)
@arguments.seed_option
@json_option
def diff(
    program: str,
    constants: tuple[tuple[str, Any], ...],
    d: int,
    dtype: str,
    device: str,
    backends: str | None,
    tolerance: float | None,
    seed: int,
    q_offset: int,
    kv_offset: int,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Compare the backends with each other, on random tensors.

    Prints the errors of outputs and gradients against the reference in float64. Beside them
    stands plain SDPA in the same dtype and with the same mask, which makes rounding errors only.
    Exits with 1 if an error is over the tolerance and much larger than those.
    """
    import torch

    from maskc import testing
    from maskc.run.backends import BACKENDS
    from maskc.testing.compare import reports

    arguments.check_device(device)
    names = testing.BACKENDS if backends is None else arguments.backends(backends, [*BACKENDS])
    compiled = load_program(program, constants)
    shape = arguments.call_sizes(**sizes)
    arguments.check_scores(shape)
    offsets: dict[str, Any] = {"q_offset": q_offset, "kv_offset": kv_offset}
    generator = torch.Generator().manual_seed(seed)
    drawn = testing.random_inputs(compiled, shape, generator, **offsets)
    inputs: dict[str, Any] = {name: arguments.moved(x, device, dtype) for name, x in drawn.items()}
    q, k, v = (x.to(device) for x in testing.random_qkv(shape, d, dtype, generator))
    result = None
    for result in reports(compiled, q, k, v, names, inputs={**offsets, **inputs}):
        _tell(result, names, quiet=as_json)
    assert result is not None
    misses = result.misses(tolerance)
    if as_json:
        say_json(result.as_dict(tolerance))
        sys.exit(1 if misses else 0)
    with console() as terminal:
        print_table(terminal, result.title, result.header, result.rows)
    for remark in result.remarks:
        say(remark)
    for miss in misses:
        click.echo(miss, err=True)
    sys.exit(1 if misses else 0)


def _tell(report: Report, names: Sequence[str], quiet: bool) -> None:
    """Print the last result, a line a backend, and on a terminal which one runs next."""
    done = len(report.results)
    if done and not quiet:
        say(_line(report.results[-1]))
    if done < len(names) and sys.stderr.isatty():
        click.echo(f"{names[done]} ({done + 1} of {len(names)}) ...\r", err=True, nl=False)


def _line(result: Result) -> str:
    if result.max_error is None:
        return f"{result.backend}: {result.refused}"
    gradients = f", gradients {max(result.gradients.values()):.1e}" if result.gradients else ""
    return f"{result.backend}: output off by {result.max_error:.1e}{gradients}"
