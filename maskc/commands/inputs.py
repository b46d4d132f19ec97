"""The inputs of a command: tensors from files, documents from lengths, or drawn at random."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskc.errors import LoadError, did_you_mean
from maskc.files.read import read_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskc.program import Program

    Array = NDArray[Any]

Command = Callable[..., None]


class Lengths(click.ParamType[tuple[int, ...]]):
    """``3000,500,1200``."""

    name = "lengths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the lengths, each at least 1."""
        try:
            lengths = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            lengths = ()
        if not lengths or min(lengths) < 1:
            self.fail(f"{value!r}, expected lengths of at least 1: 3000,500,1200", param, ctx)
        return lengths


class InputType(click.ParamType[tuple[str, str]]):
    """``doc=doc.pt`` or ``doc=0,0,1,1``."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name, and the file or the numbers."""
        name, equals, text = str(value).partition("=")
        if not name.strip() or not equals or not text.strip():
            self.fail(f"{value!r}, expected name=FILE or name=0,0,1,1", param, ctx)
        return name.strip(), text.strip()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What to bind, and the names of those inputs that were drawn at random."""

    tensors: dict[str, Any]
    drawn: tuple[str, ...] = field(default=())

    @property
    def remark(self) -> str:
        """A sentence on what was drawn, empty where nothing was."""
        if not self.drawn:
            return ""
        listed = ", ".join(f"`{name}`" for name in self.drawn)
        first = self.drawn[0]
        return f"{listed} drawn at random: give your own, as in --input {first}={first}.pt"


def input_options(command: Command) -> Command:
    """Add ``--input`` and ``--lengths``."""
    command = click.option(
        "--lengths",
        metavar="N,N,...",
        type=Lengths(),
        help="Of packed documents, over and over until the sequence is full.",
    )(command)
    return click.option(
        "--input",
        "given",
        metavar="NAME=FILE",
        type=InputType(),
        multiple=True,
        help="An input, from a .pt, .npy or .json file or as numbers (doc=0,0,1,1); may be given "
        "several times.  [default: drawn at random]",
    )(command)


def read_inputs(
    program: Program, given: Sequence[tuple[str, str]], lengths: tuple[int, ...] | None, tokens: int
) -> dict[str, Any]:
    """Return the inputs that are given, ids of documents too, as tensors; see ``read_arrays``."""
    import torch

    arrays = read_arrays(program, given, lengths, tokens)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def read_arrays(
    program: Program, given: Sequence[tuple[str, str]], lengths: tuple[int, ...] | None, tokens: int
) -> dict[str, Array]:
    """Return the inputs that are given, ids of documents among them, without torch but for `.pt`.

    Raises:
        click.UsageError: the program has no such input, or lengths have none to go to.
        LoadError: a file cannot be read.

    """
    known = [one.name for one in program.inputs]
    for name, _ in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known) or 'none'}"
            raise click.UsageError(f"the program has no input {name!r}: {hint}")
    arrays = {name: read_array(name, value) for name, value in given}
    if lengths is None:
        return arrays
    free = [
        one.name
        for one in program.inputs
        if one.type == "int" and one.rank == 1 and one.name not in arrays
    ]
    if len(free) != 1:
        found = ", ".join(f"`{name}`" for name in free) or "none"
        help = "give the others by --input" if free else "leave --lengths out"
        message = f"--lengths makes one input of ids, one a token; the program has {found}: {help}"
        raise click.UsageError(message)
    return {**arrays, free[0]: documents(lengths, tokens)}


def with_random(
    program: Program, shape: dict[str, Any], tensors: dict[str, Any], seed: int
) -> Inputs:
    """Return inputs with those that are missing drawn at random."""
    missing = [one.name for one in program.inputs if one.name not in tensors]
    if not missing:
        return Inputs(tensors)
    import torch

    from maskc.testing import random_inputs

    drawn = random_inputs(program, shape, torch.Generator().manual_seed(seed))
    left = tuple(name for name in missing if name in drawn)
    return Inputs({**tensors, **{name: drawn[name] for name in left}}, left)


def length_of(tensors: dict[str, Any]) -> int:
    """Return the length of the longest input, 0 without any."""
    shapes = [tuple(getattr(value, "shape", ())) for value in tensors.values()]
    return max((shape[-1] for shape in shapes if shape), default=0)


def grid_of(program: Program) -> int:
    """Return how many tokens the grid of a program takes, 0 without one."""
    from maskc.ir.nodes import Coord, walk

    axes = [term.axis for term in walk(*program.module.roots) if isinstance(term, Coord)]
    return max((axis.start + axis.count for axis in axes), default=0)


def documents(lengths: Sequence[int], tokens: int) -> Array:
    """Return the document of each token; the last one ends with the sequence."""
    import numpy as np

    ends: list[int] = []
    for end in accumulate(cycle(lengths)):
        ends.append(min(end, tokens))
        if end >= tokens:
            break
    return np.repeat(np.arange(len(ends)), np.diff([0, *ends]))


def read_array(name: str, value: str) -> Array:
    """Return the array of an input from a file, or from numbers with commas between.

    Raises:
        LoadError: it is neither.

    """
    import numpy as np

    path = Path(value)
    try:
        match path.suffix:
            case ".pt" | ".pth":
                held: Any = _tensor(path)
            case ".npy":
                held = np.load(path, allow_pickle=False)
            case ".json":
                held = np.asarray(json.loads(read_text(path)))
            case _:
                held = np.asarray(json.loads(f"[{value}]" if "," in value else value))
    except OSError:
        message = f"cannot read `{value}` for the input `{name}`"
        raise LoadError("M601", message, help="give a file that is there") from None
    except LoadError:
        raise
    except Exception:  # of unpickling, of numpy's format and of json there are many kinds
        raise _no_tensor(name, value) from None
    if not isinstance(held, np.ndarray):
        message = f"`{value}` holds a {type(held).__name__}, expected the tensor of `{name}`"
        raise LoadError("M602", message, help="save the tensor itself: `torch.save(doc, ...)`")
    if held.dtype.kind not in "biuf":
        raise _no_tensor(name, value)
    return held


def _tensor(path: Path) -> Any:
    """Return what a file of torch holds, a tensor as an array."""
    import torch

    held: Any = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(held, torch.Tensor):
        return held
    plain: Tensor = held.detach().float() if held.dtype is torch.bfloat16 else held.detach()
    return plain.numpy()


def _no_tensor(name: str, value: str) -> LoadError:
    message = f"`{value}` holds no tensor for the input `{name}`"
    help = "give a .pt or .npy file with a tensor, a .json file with numbers, or 0,0,1,1"
    return LoadError("M602", message, help=help)
