"""The command ``maskc``: check, format, explain, prove, list, show, compare, emit, trace and plan.

Every command takes a program as an expression, as a ``.mask`` file, or as a key of a config file
(``config.toml:model.attention.mask``). Exit codes: 0 fine, 1 the program is wrong, backends
disagree or equality is not proved, 2 wrong usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from maskc.config.search import KEYS, mask_files
from maskc.config.search import programs as programs_of
from maskc.errors import MaskcError
from maskc.files.read import read_file
from maskc.files.write import write_text
from maskc.loading import read
from maskc.source import Source

try:
    import click

    from maskc.commands import arguments
    from maskc.commands.arguments import load_program
    from maskc.commands.plan import plan
    from maskc.commands.show import show
    from maskc.view.terminal import console, report, say, warnings_reported, with_bar
except ModuleNotFoundError:
    sys.exit("the command needs click and rich: pip install 'maskc[cli]'")


class Commands(click.Group):
    """A group whose commands print a program's error and exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with warnings_reported():
                return super().invoke(ctx)
        except MaskcError as error:
            report(error)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maskc")
def main() -> None:
    """Compile attention masks and score modifications.

    PROGRAM is an expression ('causal & window(512)'), a file (gemma2.mask) or a key of a config
    file (model.toml:attention.mask).
    """


@main.command()
@click.argument("programs", metavar="PROGRAM...", nargs=-1, required=True)
@click.option(
    "--key",
    "keys",
    metavar="NAME",
    multiple=True,
    default=KEYS,
    show_default=True,
    help="A key whose text is a program, where a whole config file is checked.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning too.")
def check(programs: tuple[str, ...], keys: tuple[str, ...], strict: bool) -> None:
    """Print every error and warning of the programs.

    A folder stands for all programs in it, and a config file for its texts under the keys.
    """
    results = [fine for program in programs for fine in _check_all(program, keys, strict)]
    if not all(results):
        if len(results) > 1:
            wrong = results.count(False)
            click.echo(f"{wrong} of {len(results)} programs are wrong", err=True)
        sys.exit(1)


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; exit with 1 for a change."
)
def fmt(files: tuple[str, ...], only_check: bool) -> None:
    """Put .mask files into the house form.

    A folder stands for all such files in it. Comments stay.
    """
    paths = [path for file in files for path in mask_files(file)]
    results = [
        _fails(path) if isinstance(path, MaskcError) else _format(path, only_check)
        for path in with_bar(paths, "fmt")
    ]
    if not all(results):
        sys.exit(1)


@main.command()
@arguments.program_argument
@arguments.define_option
def explain(program: str, constants: tuple[tuple[str, Any], ...]) -> None:
    """Tell what a program becomes, where it runs, and why."""
    say(load_program(program, constants).explain())


@main.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@arguments.define_option
def equiv(first: str, second: str, constants: tuple[tuple[str, Any], ...]) -> None:
    """Tell whether the programs A and B mean the same.

    Prints the smallest counterexample found, or how far the search went. Exits with 0 only if
    equality is proved.
    """
    comparison = load_program(first, constants).equivalent(load_program(second, constants))
    say(str(comparison))
    sys.exit(0 if comparison.equal else 1)


@main.command("list")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def list_library(names: tuple[str, ...]) -> None:
    """Print the standard library, or some names of it."""
    from maskc.errors import did_you_mean
    from maskc.view.library import entries, print_library

    known = {entry.name for entry in entries()}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise click.UsageError(f"no name {name!r}{f', {hint}' if hint else ''}")
    with console() as terminal:
        print_library(terminal, names)


@main.command()
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
    from maskc.view.terminal import print_table

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
    result = testing.diff(compiled, q, k, v, backends=names, **offsets, **inputs)
    with console() as terminal:
        print_table(terminal, result.title, result.header, result.rows)
    for remark in result.remarks:
        say(remark)
    misses = result.misses(tolerance)
    for miss in misses:
        click.echo(miss, err=True)
    sys.exit(1 if misses else 0)


@main.command()
@arguments.program_argument
@arguments.define_option
@click.option(
    "--target",
    type=click.Choice(("flex", "sdpa", "module")),
    default="flex",
    show_default=True,
    help="The keywords of flex_attention, the mask of SDPA, or a whole attention(q, k, v).",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file."
)
def emit(
    program: str, constants: tuple[tuple[str, Any], ...], target: str, output: Path | None
) -> None:
    """Write a program as Python that needs torch alone."""
    source = load_program(program, constants).emit(target)
    if output is None:
        say(source, nl=False)
        return
    write_text(output, source)
    say(f"wrote {output}")


@main.command()
@click.argument("callable", metavar="PACKAGE.MODULE:FUNCTION")
@arguments.known_sizes
@click.option("--plain", is_flag=True, help="In normal form, without the callable's names.")
def trace(callable: str, plain: bool, **sizes: int | None) -> None:
    """Print the program of a mask_mod or a score_mod.

    The function is run once, on tensors without data. With sizes, an operation that no program
    has becomes a table of its values.
    """
    from maskc.tracing.reference import trace_reference

    known = {name: size for name, size in sizes.items() if size is not None}
    say(trace_reference(callable, known).text(names=not plain))


main.add_command(show)
main.add_command(plan)


def _check_all(ref: str, keys: tuple[str, ...], strict: bool) -> list[bool]:
    """Check what a reference stands for; tell of each program whether it is fine."""
    result = list(programs_of(ref, keys))
    if not result:
        say(f"{ref}: no program under {' or '.join(keys)}")
    return [
        _fails(one) if isinstance(one, MaskcError) else _check(one, strict)
        for one in with_bar(result, ref)
    ]


def _check(ref: str, strict: bool) -> bool:
    """Print the errors and the warnings of one program, or that it is fine."""
    from maskc.checking import check as errors_of
    from maskc.libraries import naming_library
    from maskc.mistakes import mistakes_of

    try:
        located = read(ref)
        errors = errors_of(located.source, located.libraries)
        warned = [] if errors else mistakes_of(located.source, located.libraries)
    except MaskcError as unreadable:
        errors, warned = [unreadable], []
    for error in errors:
        report(naming_library(error), gap=True)
    for mistake in warned:
        report(mistake, gap=True)
    if not errors and not warned:
        say(f"{ref}: fine")
    return not errors and not (strict and warned)


def _format(path: Path, only_check: bool) -> bool:
    """Format one file; tell whether it is well formed, and with ``only_check`` as it should be."""
    from maskc.syntax.format import formatted
    from maskc.syntax.parse import parse

    try:
        file = read_file(path)
    except MaskcError as unreadable:
        return _fails(unreadable)
    source = Source(file.text, str(path))
    _, errors = parse(source)
    for error in errors:
        report(error, gap=True)
    new = file.written if errors else formatted(source).replace("\n", file.line_end)
    if new == file.written:
        return not errors
    if only_check:
        say(f"{path}: would change")
        return False
    try:
        write_text(path, new)
    except MaskcError as unwritable:
        return _fails(unwritable)
    say(f"{path}: formatted")
    return True


def _fails(error: MaskcError) -> bool:
    """Print the error of one file of several."""
    report(error, gap=True)
    return False
