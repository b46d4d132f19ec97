"""What the commands take: a program, its constants, the sizes of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from maskc.commands.project import project

if TYPE_CHECKING:
    from torch import Tensor

    from maskc.program import Program
    from maskc.source import Source

DTYPES = ("float32", "float64", "bfloat16", "float16")

MOST_SCORES = 2**28
"""Of one comparison: 2 GiB in float64, and the reference holds a few such tensors."""

Command = Callable[..., None]

LIBRARY = "maskc.library"
"""Where a command keeps what ``--library`` names."""


class ConstantType(click.ParamType[tuple[str, bool | int | float]]):
    """``name=value``, the value as a program writes it."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bool | int | float]:
        """Return the name and the value."""
        name, equals, text = str(value).partition("=")
        text = text.strip().lower()
        if not name.strip() or not equals:
            self.fail(f"{value!r}, expected name=value", param, ctx)
        if text in ("true", "false"):
            return name.strip(), text == "true"
        try:
            number = int(text) if text.lstrip("+-").isdecimal() else float(text)
        except ValueError:
            self.fail(f"{value!r}, expected an int, a float, true or false", param, ctx)
        return name.strip(), number


library_option = click.option(
    "--library",
    metavar="FILE",
    multiple=True,
    expose_value=False,
    callback=lambda ctx, _, paths: ctx.meta.__setitem__(LIBRARY, paths),
    help="A .mask file of definitions to use; may be given several times.",
)
"""Every command that compiles has it; ``load_program`` reads it, so that none can forget."""


def program_argument(command: Command) -> Command:
    """Add the argument PROGRAM, and ``--library``."""
    return click.argument("program", metavar="PROGRAM")(library_option(command))


define_option = click.option(
    "-D",
    "constants",
    metavar="NAME=VALUE",
    type=ConstantType(),
    multiple=True,
    help="A param or the size of an axis; may be given several times.",
)
seed_option = click.option(
    "--seed", metavar="N", default=0, show_default=True, help="Of all random tensors."
)


def load_program(ref: str, constants: tuple[tuple[str, Any], ...]) -> Program:
    """Compile what a command names as a program, with the libraries that it names."""
    from maskc.program import load

    return load(ref, library=library_paths(), **dict(constants))


def library_paths() -> tuple[str, ...]:
    """Return the libraries of the project and of the command, which come later."""
    return (*project().library, *click.get_current_context().meta.get(LIBRARY, ()))


def libraries() -> tuple[Source, ...]:
    """Return those libraries as they are written."""
    from maskc.loading import read_libraries

    return read_libraries(library_paths())


def size_options(b: int, h: int, q: int) -> Callable[[Command], Command]:
    """Add ``--b --h --hkv --q --k`` with these defaults; hkv follows h, and k follows q."""
    size = click.IntRange(min=1)

    def decorate(command: Command) -> Command:
        for option in (
            click.option(
                "--k", metavar="N", type=size, help="Keys.  [default: as many as queries]"
            ),
            click.option(
                "--q", metavar="N", type=size, default=q, show_default=True, help="Queries."
            ),
            click.option(
                "--hkv", metavar="N", type=size, help="Key heads.  [default: as many as heads]"
            ),
            click.option(
                "--h", metavar="N", type=size, default=h, show_default=True, help="Heads."
            ),
            click.option(
                "--b", metavar="N", type=size, default=b, show_default=True, help="Batches."
            ),
        ):
            command = option(command)
        return command

    return decorate


def known_sizes(command: Command) -> Command:
    """Add ``--b --h --q --k``, each of which may be left out."""
    for short, size, rows in (
        ("--k", "kv_len", "Keys"),
        ("--q", "q_len", "Queries"),
        ("--h", "num_heads", "Heads"),
        ("--b", "batch_size", "Batches"),
    ):
        option = click.option(short, size, metavar="N", type=click.IntRange(min=1), help=f"{rows}.")
        command = option(command)
    return command


def offset_options(command: Command) -> Command:
    """Add ``--q-offset`` and ``--kv-offset``."""
    start = click.IntRange(min=0)
    for name, rows in (("--kv-offset", "key"), ("--q-offset", "query")):
        help = f"The position of {rows} row 0."
        option = click.option(
            name, metavar="N", type=start, default=0, show_default=True, help=help
        )
        command = option(command)
    return command


def call_sizes(b: int, h: int, hkv: int | None, q: int, k: int | None) -> dict[str, Any]:
    """Return the sizes of a call under the names that ``bind`` has for them."""
    kv_heads = {"num_kv_heads": h if hkv is None else hkv}
    return {
        "batch_size": b,
        "num_heads": h,
        **kv_heads,
        "q_len": q,
        "kv_len": q if k is None else k,
    }


def backends(listed: str, known: Sequence[str]) -> list[str]:
    """Return the names of a list, or refuse one that is no backend."""
    from maskc.errors import did_you_mean

    names = [name.strip() for name in listed.split(",")]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise click.UsageError(f"no backend {name!r}, {hint}")
    return names


def check_scores(shape: Mapping[str, int]) -> None:
    """Refuse a call whose dense scores would fill the memory."""
    count = shape["batch_size"] * shape["num_heads"] * shape["q_len"] * shape["kv_len"]
    if count > MOST_SCORES:
        held = (
            f"the reference would hold {count:.1e} scores in float64, more than {MOST_SCORES:.1e}"
        )
        raise click.UsageError(f"{held}: lower --b, --h, --q or --k")


def moved(x: Tensor, device: str, dtype: str) -> Tensor:
    """Return an input on a device; beside q, k and v in float64 it is no coarser than they are."""
    import torch

    moved = x.to(device)
    return moved.double() if dtype == "float64" and x.dtype is torch.float32 else moved


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or that is not there."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise click.UsageError(f"no device {name!r}: {str(error).splitlines()[0]}") from None
