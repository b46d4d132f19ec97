"""FlexAttention's callables as a program: trace them, print them, bind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from maskc.binding.flags import check_flag
from maskc.errors import BindError, TraceError
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, Module
from maskc.ir.nodes import inputs as inputs_of
from maskc.ir.text import to_text
from maskc.ir.types import Ix
from maskc.program import Program, compile_mask
from maskc.run.bound import Bound
from maskc.source import Source
from maskc.tracing.callables.captured import Captured
from maskc.tracing.fit_to_call import is_sayable, narrowed, with_wrapped_subscripts, without
from maskc.tracing.limits import check_limits
from maskc.tracing.names.named_text import named_text
from maskc.tracing.run.tracer import Tracer, check_arguments

Mod = Callable[..., Any]

SIZES = ("batch_size", "num_heads", "q_len", "kv_len")
OUTSIDE = "M417"
"""The code of a subscript that may leave its input."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A ``mask_mod``, a ``score_mod`` or both, as a program and the tensors they captured.

    Attributes:
        module: what they compute, as it was traced.
        inputs: the tensors that they captured, by their names in the program. They are the
            callables' own: what is written into one counts from the next binding on.
        tables: names of inputs that were computed for the trace, from operations without a
            translation; they hold for the sizes of the trace.
        mask_mod: the callable, or None.
        score_mod: the callable, or None.
        sizes: what the trace was given.
        limits: ints that torch computes in 32 bits, or as floats to decide something, with the
            largest absolute value up to which it computes what the program does.

    """

    module: Module
    inputs: Mapping[str, Tensor]
    tables: tuple[str, ...]
    mask_mod: Mod | None
    score_mod: Mod | None
    sizes: Mapping[str, int]
    limits: Mapping[Expr, int]

    @property
    def program(self) -> Program:
        """The program; it takes ``inputs`` by their names."""
        return compiled(self.module)

    def text(self, names: bool = True) -> str:
        """Return the program as text that parses back to it.

        Args:
            names: write it as a person would: the callables' local variables are ``let``s, and an
                int or float that they close over is a ``param`` where it stands in the program as
                it is. Without names it is ``program.text``.

        """
        check_flag("names", names)
        if not names:
            return self.program.text
        return named_text(self.mask_mod, self.score_mod, self.sizes)

    def bind(
        self,
        *,
        q_len: int,
        kv_len: int | None = None,
        batch_size: int = 1,
        num_heads: int = 1,
        **keywords: Any,
    ) -> Bound:
        """Bind the program to sizes, with the captured tensors as its inputs.

        A subscript below 0 counts from the end, as in torch.

        Args:
            q_len: query rows.
            kv_len: key rows, ``q_len`` if None.
            batch_size: batches.
            num_heads: query heads.
            **keywords: what else ``Program.bind`` takes; an input by its name takes the place of
                the captured one.

        Raises:
            BindError: the captured tensors do not fit these sizes.

        """
        sizes = {"q_len": q_len, "kv_len": q_len if kv_len is None else kv_len}
        sizes |= {"batch_size": batch_size, "num_heads": num_heads}
        return bind_module(self, (), **sizes, **keywords)


def trace(
    mask_mod: Mod | None = None,
    score_mod: Mod | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
) -> Traced:
    """Turn FlexAttention callables into a program.

    Each is run once, on tensors without data; what torch is asked to do becomes the program.

    Args:
        mask_mod: ``mask_mod(b, h, q_idx, kv_idx)``.
        score_mod: ``score_mod(score, b, h, q_idx, kv_idx)``.
        sizes: ``batch_size``, ``num_heads``, ``q_len`` and ``kv_len`` of the call, any of them;
            with these, an operation that no program has and that depends on one index alone
            becomes a table of its values.

    Raises:
        TraceError: a callable does what no program says; the error shows its line and the fix.

    """
    if mask_mod is None and score_mod is None:
        message = "there is nothing to trace"
        raise TraceError("M809", message, help="pass `mask_mod=...`, `score_mod=...` or both")
    known = checked_sizes({} if sizes is None else sizes)
    captured = Captured.of(*(mod for mod in (mask_mod, score_mod) if mod is not None))
    tables: dict[str, Tensor] = {}
    limits: dict[Expr, int] = {}
    mask: Expr = TRUE
    score: Expr = SCORE
    if mask_mod is not None:
        check_arguments(mask_mod, 4, "mask_mod", "mask_mod(b, h, q_idx, kv_idx)")
        tracer = Tracer(captured, known, is_mask=True)
        mask = tracer.run(mask_mod)
        tables |= tracer.tables()
        limits |= tracer.limits
    if score_mod is not None:
        check_arguments(score_mod, 5, "score_mod", "score_mod(score, b, h, q_idx, kv_idx)")
        tracer = Tracer(captured, known, is_mask=False)
        score = tracer.run(score_mod)
        tables |= tracer.tables()
        limits |= {term: min(most, limits.get(term, most)) for term, most in tracer.limits.items()}
    module = Module(mask, score, OUT)
    read = {source.name for source in inputs_of(*module.roots)}
    given = captured.inputs | tables
    inputs = {name: tensor for name, tensor in given.items() if name in read}
    return Traced(module, inputs, tuple(tables), mask_mod, score_mod, known, limits)


def bind_module(
    traced: Traced,
    missing: Iterable[Ix],
    *,
    batch_size: int,
    num_heads: int,
    **keywords: Any,
) -> Bound:
    """Bind what was traced to the sizes of a call; ``missing`` indices are 0.

    Raises:
        BindError: the captured tensors do not fit these sizes.

    """
    module = without(traced.module, *missing)
    given = narrowed(module, traced.inputs, batch_size, num_heads)
    given |= {name: keywords.pop(name) for name in traced.inputs if name in keywords}
    if traced.limits and not in_trace():
        sizes = {"batch_size": batch_size, "num_heads": num_heads, **keywords}
        check_limits(traced.limits, sizes, given)

    def bind(module: Module) -> Bound:
        program = compiled(module)
        live = {declared.name for declared in program.inputs}
        inputs: dict[str, Any] = {name: value for name, value in given.items() if name in live}
        return program.bind(batch_size=batch_size, num_heads=num_heads, **keywords, **inputs)

    try:
        return bind(module)
    except BindError as error:
        wrapped = with_wrapped_subscripts(module, given)
        if error.code != OUTSIDE or wrapped == module or not is_sayable(wrapped):
            raise
    return bind(wrapped)


@lru_cache(maxsize=1024)
def compiled(module: Module) -> Program:
    """Return the program of a module; equal modules share one."""
    return compile_mask(Source(to_text(module), "<traced>"))


def checked_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return sizes under the names that ``bind`` has for them.

    Raises:
        TraceError: a name is unknown.

    """
    if not isinstance(sizes, Mapping):
        message = f"`sizes` is a mapping of names to ints, found {type(sizes).__name__}"
        raise TraceError("M809", message, help=f"expected {', '.join(SIZES)}")
    for name in sizes:
        if name not in SIZES:
            message = f"`sizes` has no `{name}`"
            raise TraceError("M809", message, help=f"expected {', '.join(SIZES)}")
    return dict(sizes)
