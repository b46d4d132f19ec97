"""A compiled program: immutable, hashable, picklable as its text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary

from maskc import compose
from maskc.binding.call import call_spec, find_device
from maskc.binding.check_qkv import check_tensors
from maskc.compiled import Recipe
from maskc.elaborate.module import Constant, Elaborated
from maskc.elaborate.open_layer import LAYER
from maskc.errors import BindError
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.passes.support.driver import Simplified
from maskc.run.bound import Bound
from maskc.source import Source, Span

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from maskc.analysis.distance import Distance
    from maskc.analysis.equiv.result import Different, Equal, Unknown

CALL = ("backend", "scale", "dropout_p", "return_lse", "fold_bias")
"""Keywords of a call."""


class Program:
    """A mask, a score and an epilogue, ready to be bound to tensors.

    Two programs are equal when their canonical text and ``empty_rows`` are. Made by
    ``maskc.compile_mask`` and ``maskc.load``.

    Attributes:
        module: the simplified program.
        written: the program before simplification.
        inputs: the tensors it takes, with type, number of subscripts and doc.
        params: its compile-time constants and axis sizes.
        hidden: prelude names that its text hides.
        laws: the laws that simplified it.
        empty_rows: what a query row without a key gives: ``zero``, ``all``, ``nan`` or ``error``.
        recipe: what it was compiled from.
        open_layer: the place of a ``param layer`` without a value, None if there is none; such a
            program stands for all layers of a model, and ``for_layer`` gives the one to bind.

    """

    compiler: ClassVar[Callable[[Recipe], Program]]
    """Compiles a recipe; the pipeline, which knows all stages, sets it."""

    def __init__(
        self,
        elaborated: Elaborated,
        simplified: Simplified,
        recipe: Recipe,
        open_layer: Span | None = None,
    ) -> None:
        self.module = simplified.module
        self.written = elaborated.module
        self.inputs = elaborated.inputs
        self.params: Mapping[str, Constant] = MappingProxyType(dict(elaborated.params))
        self.hidden = elaborated.hidden
        self.laws = simplified.laws
        self.recipe = recipe
        self.open_layer = open_layer

    @property
    def empty_rows(self) -> str:
        """What a query row without a key gives."""
        return self.recipe.empty_rows

    @property
    def source(self) -> str:
        """The source as it was written."""
        return self.recipe.source.text

    @cached_property
    def text(self) -> str:
        """The canonical source; with the same ``empty_rows`` it parses back to an equal program.

        That of a program for all layers is the source as it was written.
        """
        return to_text(self.module) if self.open_layer is None else self.source

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of the canonical text and ``empty_rows``, the same in every process."""
        parts = [self.text, f"empty_rows = {self.empty_rows}"]
        if self.open_layer is not None:
            parts += [repr(self.recipe.constants), *(one.text for one in self.recipe.libraries)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def with_constants(self, **constants: Constant) -> Program:
        """Return the program with other values of its params and sizes of its axes.

        Programs of one text that mean the same are one object, so that they can share what is
        bound: ``{program: program.bind(...) for program in programs}``. Its ``params`` are then
        those that it was first asked for with.

        Args:
            **constants: the values; what is not named stays as it is.

        Raises:
            MaskcError: the program has no such param or axis, or is wrong with these values.

        """
        _shared(self)
        return _shared(type(self).compiler(self.recipe.with_constants(constants)))

    def for_layer(self, layer: int) -> Program:
        """Return the program of one layer of a model: its ``param layer`` is ``layer``.

        A program without such a param is the same in every layer. Layers whose programs mean the
        same share one object.
        """
        return self.with_constants(layer=layer) if LAYER in self.params else self

    def bind(
        self,
        *,
        q_len: int,
        kv_len: int | None = None,
        batch_size: int = 1,
        num_heads: int = 1,
        num_kv_heads: int | None = None,
        device: torch.device | str | None = None,
        block_size: int | tuple[int, int] | str = 128,
        q_offset: int | Tensor = 0,
        kv_offset: int | Tensor = 0,
        head_offset: int | Tensor | None = None,
        q_positions: Tensor | None = None,
        kv_positions: Tensor | None = None,
        compact: bool = False,
        **inputs: Any,
    ) -> Bound:
        """Bind the program to the sizes and tensors of a step.

        Args:
            q_len: query rows.
            kv_len: key rows, ``q_len`` if None.
            batch_size: batches.
            num_heads: query heads of this call.
            num_kv_heads: key heads of this call, ``num_heads`` if None.
            device: where the tensors are; that of the inputs if None.
            block_size: of the block mask, one int or (queries, keys); ``"auto"`` takes the one in
                which a kernel does least for this mask.
            q_offset: logical position of query row 0, a number or one for each batch.
            kv_offset: logical position of key row 0; likewise.
            head_offset: which head of the model head 0 of this call is (tensor parallelism); when
                given, per-head inputs may hold the heads of the whole model.
            q_positions: logical positions of the query rows, ``[Q]`` or ``[B, Q]``.
            kv_positions: logical positions of the key rows, ``[K]`` or ``[B, K]``.
            compact: store block tables without their unused entries.
            **inputs: the program's inputs: tensors, numbers, or a pair (for queries, for keys).
                Those that only the score or the epilogue reads may be left to the call.

        Raises:
            BindError: an input is missing, unknown, or does not fit.

        """
        self._refuse_open()
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        described = call_spec(
            q_len=q_len,
            kv_len=q_len if kv_len is None else kv_len,
            batch_size=batch_size,
            num_heads=num_heads,
            num_kv_heads=kv_heads,
            device=_device(device, inputs),
            block_size=block_size,
            q_offset=q_offset,
            kv_offset=kv_offset,
            head_offset=head_offset,
            q_positions=q_positions,
            kv_positions=kv_positions,
            compact=compact,
        )
        return Bound(self, described, inputs)

    def bind_to(self, q: Tensor, k: Tensor, **keywords: Any) -> Bound:
        """Bind the program to the sizes and the device of q and k.

        Args:
            q: queries ``[B, H, Q, D]``.
            k: keys ``[B, Hkv, K, D]``.
            **keywords: what else ``bind`` takes.

        """
        check_tensors(q=q, k=k)
        return self.bind(
            q_len=q.shape[2],
            kv_len=k.shape[2],
            batch_size=q.shape[0],
            num_heads=q.shape[1],
            num_kv_heads=k.shape[1],
            device=q.device,
            **keywords,
        )

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **keywords: Any) -> Any:
        """Bind to the sizes of q, k and v and attend, in one call.

        Args:
            q: queries ``[B, H, Q, D]``.
            k: keys ``[B, Hkv, K, D]``.
            v: values ``[B, Hkv, K, Dv]``.
            **keywords: the inputs; offsets, positions and ``block_size`` as for ``bind``;
                ``backend``, ``scale``, ``dropout_p``, ``return_lse`` and ``fold_bias`` as for
                ``Bound``.

        Returns:
            The output ``[B, H, Q, Dv]``, or with ``return_lse`` the output and ``[B, H, Q]``.

        """
        call = {name: keywords.pop(name) for name in CALL if name in keywords}
        return self.bind_to(q, k, **keywords)(q, k, v, **call)

    def emit(self, target: str = "flex") -> str:
        """Return the source of a Python file that needs torch alone.

        Args:
            target: ``flex`` gives the keywords of ``flex_attention``, ``sdpa`` the mask of
                ``scaled_dot_product_attention``, ``module`` a whole ``attention(q, k, v)``.

        """
        from maskc.emit.file import emit

        self._refuse_open()
        return emit(self, target)

    def explain(self) -> str:
        """Return what was written, what it became and by which laws, and what each backend does.

        Costs are formulas in the sizes; ``Bound.explain`` has the numbers of a call.
        """
        from maskc.explain.program import explain

        return explain(self)

    def equivalent(
        self, other: Program, *, sizes: Mapping[str, int] | None = None
    ) -> Equal | Different | Unknown:
        """Tell whether another program gives the same attention in every call.

        Equal programs need no proof; others are given to z3 (the extra ``prove``), then compared
        at small and critical positions. Their ``empty_rows`` are not compared.

        Args:
            other: the other program.
            sizes: compare calls of these sizes only, as for ``bind``: at every pair, where the
                programs read no input.

        Returns:
            ``Equal``, ``Different`` with the smallest counterexample found, or ``Unknown`` with how
            far it looked; ``.equal`` is True, False or None, and printing it tells the rest.

        """
        from maskc.analysis.equiv.at_sizes import call_sizes, compare_at
        from maskc.analysis.equiv.compare import compare_programs

        for program in (self, other):
            program._refuse_open()
        if sizes is not None:
            return compare_at(self.module, other.module, call_sizes(sizes))
        return compare_programs(self.module, other.module)

    def max_distance(self) -> Distance:
        """Return how many tokens the furthest key can be behind and ahead of its query.

        None stands for no bound: ``causal & window(8)`` gives (7, 0), ``causal`` (None, 0).
        """
        from maskc.analysis.distance import max_distance

        self._refuse_open()
        return max_distance(self.module.mask)

    def masked_by(self, mask: Program | str) -> Program:
        """Return the program with another mask besides its own.

        Args:
            mask: a program that is a mask, or its text.

        Raises:
            MaskcError: it is more than a mask, or declares a name in another way.

        """
        if isinstance(mask, str):
            mask = type(self).compiler(Recipe(Source(mask), empty_rows=self.empty_rows))
        return self._composed(compose.masked_by(self.module, mask.module), mask)

    def __and__(self, other: Program) -> Program:
        return self._composed(compose.both(self.module, other.module), other)

    def __or__(self, other: Program) -> Program:
        return self._composed(compose.either(self.module, other.module), other)

    def __invert__(self) -> Program:
        return self._composed(compose.opposite(self.module), self)

    def _composed(self, module: Module, other: Program) -> Program:
        """Return the program of a module made of this and another."""
        for program in (self, other):
            program._refuse_open()
        compose.check_empty_rows(self.empty_rows, other.empty_rows)
        text = Source(to_text(module), "<composed>")
        return type(self).compiler(Recipe(text, empty_rows=self.empty_rows))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return self._meaning == other._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    @cached_property
    def _meaning(self) -> Hashable:
        """What two equal programs share; one that stands for all layers has only its recipe."""
        return (self.text, self.empty_rows) if self.open_layer is None else self.recipe

    def _refuse_open(self) -> None:
        """Refuse to run a program that stands for all layers."""
        if self.open_layer is not None:
            message = f"param `{LAYER}` has no value, so the program stands for all layers"
            help = f"take the one of a layer: `program.for_{LAYER}(0)`, or give it: `{LAYER}=0`"
            raise BindError("M427", message, self.open_layer, help)

    def __repr__(self) -> str:
        return f"<maskc program {self.digest[:8]}: {'; '.join(self.text.splitlines())}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a pydantic model have a field of this type; see ``schema.program_schema``."""
        from maskc.integrations.pydantic import program_schema

        return program_schema(cls, cls.compiler)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).compiler, (self.recipe,)


_SHARED: WeakValueDictionary[Hashable, Program] = WeakValueDictionary()
"""The programs that are asked for by their constants: one for each text and meaning."""


def _shared(program: Program) -> Program:
    """Return the first program of the same text with the same meaning."""
    recipe = program.recipe
    key = recipe.source, recipe.libraries, program._meaning
    return _SHARED.setdefault(key, program)


def _device(device: Any, inputs: Mapping[str, Any]) -> torch.device:
    import torch

    if device is not None:
        return find_device(device)
    for value in inputs.values():
        part = value[0] if isinstance(value, tuple) and value else value
        if isinstance(part, torch.Tensor):
            return part.device
    return torch.device("cpu")
