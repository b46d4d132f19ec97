"""The public face: compile a program, bind it, run it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload
from weakref import WeakValueDictionary

from maskc import compose
from maskc.compiled import BY_NUMBER, Compiled, Recipe, keyed
from maskc.elaborate.module import Constant
from maskc.elaborate.open_layer import LAYER
from maskc.errors import BindError, MaskNameError, MaskSyntaxError, MaskTypeError
from maskc.ir.nodes import Module
from maskc.ir.text import to_text
from maskc.libraries.beside import naming_library
from maskc.loading import Paths, read, read_libraries
from maskc.options import BackendName, Balance, BlockSize, EmptyRows, Target
from maskc.pipeline import check_policy, compile_recipe
from maskc.source import Source

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from maskc.analysis.distance import Distance
    from maskc.analysis.equiv.result import Different, Equal, Unknown
    from maskc.run.bound import Bound
    from maskc.scale.plan import Plan

CALL = ("backend", "scale", "dropout_p", "return_lse", "fold_bias")
"""Keywords of a call."""


def compile_mask(
    source: str | Source,
    *,
    empty_rows: EmptyRows = "zero",
    library: Paths | None = None,
    **constants: Constant,
) -> Program:
    """Compile a program.

    Args:
        source: its text.
        empty_rows: what a query row without a key gives: ``zero`` (the default; log-sum-exp -inf),
            ``all`` (it attends to every key), ``nan``, or ``error`` when bound. A key counts if
            the mask and any -inf choice allow it, even if its score evaluates to -inf.
        library: a ``.mask`` file of definitions to use beside the standard library, or several;
            a later one hides what an earlier one defines.
        **constants: values of the program's params and sizes of its axes. ``param layer: int``
            may stay without one: see ``Program.for_layer``.

    Raises:
        MaskcError: the program is wrong; the error shows the location and the fix.

    """
    check_policy(empty_rows)
    text = source if isinstance(source, Source) else Source(_text(source))
    return from_recipe(Recipe(text, keyed(constants), empty_rows, read_libraries(library)))


def load(
    ref: str | PathLike[str],
    *,
    empty_rows: EmptyRows = "zero",
    library: Paths | None = None,
    **constants: Constant,
) -> Program:
    """Compile the program of a ``.mask`` file, or of a config file: ``model.toml:attention.mask``.

    A key ``library`` beside the program in the config file names libraries, as paths from the
    file's folder.

    Args:
        ref: the path, with a dotted key after a colon for TOML, YAML and JSON.
        empty_rows: as for ``compile_mask``.
        library: as for ``compile_mask``; over those that the config file names.
        **constants: as for ``compile_mask``.

    Raises:
        MaskcError: the file or the key cannot be read, or the program is wrong.

    """
    check_policy(empty_rows)
    located = read(str(ref))
    libraries = (*located.libraries, *read_libraries(library))
    try:
        return from_recipe(Recipe(located.source, keyed(constants), empty_rows, libraries))
    except MaskNameError as error:
        raise naming_library(error) from None


@lru_cache(maxsize=1024)
def from_recipe(recipe: Recipe) -> Program:
    """Compile a recipe; equal recipes give one object.

    Raises:
        MaskcError: the program is wrong.

    """
    return Program.of(compile_recipe(recipe))


class Program(Compiled):
    """A mask, a score and an epilogue, ready to be bound to tensors.

    Immutable, hashable, and pickled as what it was compiled from. Made by ``maskc.compile_mask``
    and ``maskc.load``; its attributes are those of ``Compiled``.
    """

    @classmethod
    def of(cls, compiled: Compiled) -> Program:
        """Return compiled data with the methods of a program."""
        program = cls.__new__(cls)
        vars(program).update(vars(compiled))
        BY_NUMBER[program.number] = program
        return program

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
        return _shared(from_recipe(self.recipe.with_constants(constants)))

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
        block_size: BlockSize = 128,
        q_offset: int | Tensor | None = None,
        kv_offset: int | Tensor | None = None,
        head_offset: int | Tensor | None = None,
        q_positions: Tensor | None = None,
        kv_positions: Tensor | None = None,
        compact: bool = False,
        backward: bool = True,
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
            backward: whether the block mask is to serve a backward pass; without it, it has no
                tables by key, takes half the time and memory, and flex refuses to train.
            **inputs: the program's inputs: tensors, numbers, or a pair (for queries, for keys).
                Those that only the score or the epilogue reads may be left to the call.

        Raises:
            BindError: an input is missing, unknown, or does not fit.

        """
        from maskc.run.bound import bind

        return bind(
            self,
            inputs,
            q_len=q_len,
            kv_len=q_len if kv_len is None else kv_len,
            batch_size=batch_size,
            num_heads=num_heads,
            num_kv_heads=num_heads if num_kv_heads is None else num_kv_heads,
            device=device,
            block_size=block_size,
            q_offset=q_offset,
            kv_offset=kv_offset,
            head_offset=head_offset,
            q_positions=q_positions,
            kv_positions=kv_positions,
            compact=compact,
            backward=backward,
        )

    def bind_to(self, q: Tensor, k: Tensor, **keywords: Any) -> Bound:
        """Bind the program to the sizes and the device of q and k.

        Args:
            q: queries ``[B, H, Q, D]``.
            k: keys ``[B, Hkv, K, D]``.
            **keywords: what else ``bind`` takes.

        """
        from maskc.run.bound import sizes_of

        sizes = sizes_of(q, k)
        if twice := sizes.keys() & keywords:
            message = f"a call takes no `{min(twice)}`"
            raise BindError("M431", message, help="q and k tell it; `bind` takes it without them")
        return self.bind(**sizes, **keywords)

    def plan(
        self,
        seq_len: int,
        ranks: int,
        *,
        block_size: int | tuple[int, int] = 128,
        balance: Balance | Plan | Tensor | Sequence[int] = "lpt",
        batch_size: int = 1,
        num_heads: int = 1,
        num_kv_heads: int | None = None,
        head_offset: int | Tensor | None = None,
        device: torch.device | str | None = None,
        **inputs: Any,
    ) -> Plan:
        """Plan which rank attends for which blocks of queries of a long sequence.

        Args:
            seq_len: tokens, a multiple of ``ranks`` blocks; pad with keys that the mask excludes.
            ranks: of context parallelism.
            block_size: tokens of a block, one int or (queries, keys).
            balance: ``lpt`` (as even as blocks allow, by the exact cost of each), ``contiguous``,
                ``headtail`` (torch's default), another plan, or the blocks, rank after rank.
            batch_size: batches; like heads, they count where the mask tells them apart.
            num_heads: query heads.
            num_kv_heads: key heads, ``num_heads`` if None.
            head_offset: as for ``bind``.
            device: where the tensors are; that of the inputs if None.
            **inputs: of the whole sequence; those of the mask are enough.

        Raises:
            BindError: the sequence does not divide, the order is none, or an input does not fit.

        """
        from maskc.scale.plan import plan

        return plan(
            self,
            inputs,
            seq_len=seq_len,
            ranks=ranks,
            block_size=block_size,
            balance=balance,
            batch_size=batch_size,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_offset=head_offset,
            device=device,
        )

    def shard(
        self,
        plan: Plan,
        rank: int,
        *,
        permuted_kv: bool = True,
        head_offset: int | Tensor | None = None,
        batch_offset: int = 0,
        batch_size: int = 1,
        num_heads: int = 1,
        num_kv_heads: int | None = None,
        device: torch.device | str | None = None,
        compact: bool = False,
        **inputs: Any,
    ) -> Bound:
        """Bind the program to the rows of one rank: mask and score in its own coordinates.

        Queries are the rank's rows in the plan's order. What is given here is of the whole
        sequence; what is left to the call is of the rank's rows where ``q_idx`` subscripts it, and
        of the gathered keys where ``kv_idx`` does.

        Args:
            plan: of this program, or of the heaviest of the programs that share it.
            rank: of context parallelism.
            permuted_kv: whether keys and values are those of all ranks, one rank after the other,
                as torch gathers them; else they are in the sequence's order.
            head_offset: as for ``bind``: the first head of this rank under tensor parallelism.
            batch_offset: the first batch of this call, where inputs hold more of them.
            batch_size: batches of this call.
            num_heads: query heads of this call.
            num_kv_heads: key heads of this call, ``num_heads`` if None.
            device: where the tensors are; that of the inputs if None.
            compact: whether block tables are stored without their unused entries.
            **inputs: of the whole sequence, by logical position, and of all batches.

        Raises:
            BindError: there is no such rank or batch, or an input does not fit.
            LoweringError: the program breaks ties by the order of keys, which the plan changes.

        """
        from maskc.scale.shard import shard

        return shard(
            self,
            plan,
            rank,
            inputs,
            permuted_kv=permuted_kv,
            head_offset=head_offset,
            batch_offset=batch_offset,
            batch_size=batch_size,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            device=device,
            compact=compact,
        )

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        return_lse: Literal[False] = False,
        **keywords: Any,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        return_lse: Literal[True],
        **keywords: Any,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        return_lse: bool,
        **keywords: Any,
    ) -> Tensor | tuple[Tensor, Tensor]: ...

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, **keywords: Any
    ) -> Tensor | tuple[Tensor, Tensor]:
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
        out: Tensor | tuple[Tensor, Tensor] = self.bind_to(q, k, **keywords)(q, k, v, **call)
        return out

    def emit(self, target: Target = "flex") -> str:
        """Return the source of a Python file that needs torch alone.

        Args:
            target: ``flex`` gives the keywords of ``flex_attention``, ``sdpa`` the mask of
                ``scaled_dot_product_attention``, ``module`` a whole ``attention(q, k, v)``.

        """
        from maskc.emit.file import emit

        return emit(self, target)

    def explain(self) -> str:
        """Return what was written, what it became and by which laws, and what each backend does.

        Costs are formulas in the sizes; ``Bound.explain`` has the numbers of a call.
        """
        from maskc.explain.program import explain

        return explain(self)

    def equivalent(
        self, other: Program | str, *, sizes: Mapping[str, int] | None = None
    ) -> Equal | Different | Unknown:
        """Tell whether another program gives the same attention in every call.

        Equal programs need no proof; others are given to z3 (the extra ``prove``), then compared
        at small and critical positions. Their ``empty_rows`` are not compared.

        Args:
            other: the other program, or its text.
            sizes: compare calls of these sizes only, as for ``bind``: at every pair, where the
                programs read no input.

        Returns:
            ``Equal``, ``Different`` with the smallest counterexample found, or ``Unknown`` with how
            far it looked; ``.equal`` is True, False or None, and printing it tells the rest.

        """
        from maskc.analysis.equiv.compare import compare_programs

        other = self._program(other)
        for program in (self, other):
            program.refuse_open()
        if sizes is not None:
            from maskc.analysis.equiv.at_sizes import call_sizes, compare_at

            return compare_at(self.module, other.module, call_sizes(sizes))
        return compare_programs(self.module, other.module)

    def max_distance(self) -> Distance:
        """Return how many tokens the furthest key can be behind and ahead of its query.

        None stands for no bound: ``causal & window(8)`` gives (7, 0), ``causal`` (None, 0). It
        holds wherever the rows stand; sinks lie far ahead of a query of padding in front.
        """
        from maskc.analysis.distance import max_distance

        self.refuse_open()
        return max_distance(self.module.mask)

    def masked_by(self, mask: Program | str) -> Program:
        """Return the program with another mask besides its own.

        Args:
            mask: a program that is a mask, or its text.

        Raises:
            MaskcError: it is more than a mask, or declares a name in another way.

        """
        mask = self._program(mask)
        return self._composed(compose.masked_by(self.module, mask.module), mask)

    def __and__(self, other: Program | str) -> Program:
        other = self._program(other)
        return self._composed(compose.both(self.module, other.module), other)

    def __or__(self, other: Program | str) -> Program:
        other = self._program(other)
        return self._composed(compose.either(self.module, other.module), other)

    def __invert__(self) -> Program:
        return self._composed(compose.opposite(self.module), self)

    def _program(self, other: Program | str) -> Program:
        """Return another program, or that of a text, with this one's policy for empty rows."""
        match other:
            case str():
                return from_recipe(Recipe(Source(other), empty_rows=self.empty_rows))
            case Program():
                return other
        message = f"expected a program or its text, found {type(other).__name__}"
        help = "the program of a `mask_mod` is `maskc.trace(mask_mod).program`"
        raise MaskTypeError("M232", message, help=help)

    def _composed(self, module: Module, other: Program) -> Program:
        """Return the program of a module made of this and another."""
        for program in (self, other):
            program.refuse_open()
        compose.check_empty_rows(self.empty_rows, other.empty_rows)
        text = Source(to_text(module), "<composed>")
        return from_recipe(Recipe(text, empty_rows=self.empty_rows))

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from maskc.explain.notebook import program_html

        return program_html(self)

    def __repr__(self) -> str:
        return f"<maskc program {self.digest[:8]}: {'; '.join(self.text.splitlines())}>"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a pydantic model have a field of this type."""
        from maskc.integrations.pydantic import program_schema

        return program_schema(cls, compile_mask)

    def __reduce__(self) -> tuple[object, ...]:
        return from_recipe, (self.recipe,)


_SHARED: WeakValueDictionary[Hashable, Program] = WeakValueDictionary()
"""The programs that are asked for by their constants: one for each text and meaning."""


def _shared(program: Program) -> Program:
    """Return the first program of the same text with the same meaning."""
    recipe = program.recipe
    return _SHARED.setdefault((recipe.source, recipe.libraries, program.meaning), program)


def _text(source: object) -> str:
    if isinstance(source, str):
        return source
    message = f"a program is a text, found {type(source).__name__}"
    raise MaskSyntaxError("M108", message, help="pass a string; `maskc.load` reads files")
