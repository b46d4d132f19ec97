"""A program bound to the sizes and tensors of a call: run it, or take its parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc import log
from maskc.analysis.bands import Parts
from maskc.binding.call import CallSpec, call_spec, device_of, next_step
from maskc.binding.check_qkv import check_out, check_qkv, check_tensors
from maskc.binding.flags import check_flag
from maskc.binding.inputs import as_tensors, known
from maskc.binding.mistakes import mistakes_of_call
from maskc.binding.relocate import moved, sliced
from maskc.blocks import traced
from maskc.blocks.mask_blocks import TileCounts
from maskc.compiled import Compiled
from maskc.errors import BindError, LoweringError, warn
from maskc.ir.in_trace import in_trace
from maskc.ir.nodes import TRUE
from maskc.ir.rows import K_POSITION, Q_POSITION
from maskc.ir.types import Sz
from maskc.ir.vectorize import dense
from maskc.lower import flex, reference, sdpa
from maskc.lower.attention_call import AttentionCall
from maskc.lower.codegen.mods import MaskMod, ScoreMod, score_mod
from maskc.lower.one_query.attend import Seen, attend
from maskc.lower.plan import Plan
from maskc.options import BackendName
from maskc.run import backends
from maskc.run.answers import Answers
from maskc.run.state import State, bind_state, rebound
from maskc.run.steps import Step, begin

OFFSETS = ("q_offset", "kv_offset")
"""What says where rows stand; None leaves them at 0, and unsaid."""


def bind(program: Compiled, given: Mapping[str, Any], *, device: Any, **call: Any) -> Bound:
    """Bind a program; see ``Program.bind``.

    Raises:
        BindError: an input is missing, unknown, or does not fit.

    """
    program.refuse_open()
    placed = False
    for name in OFFSETS:
        if call[name] is None:
            call[name] = 0
        else:
            placed = True
    bound = Bound(program, call_spec(device=device_of(device, given), **call), given)
    if not in_trace():
        for mistake in mistakes_of_call(program, bound.spec, given, placed):
            warn(mistake)
    return bound


def sizes_of(q: Tensor, k: Tensor) -> dict[str, Any]:
    """Return the sizes and the device of a call by its q and k, as ``bind`` takes them.

    Raises:
        BindError: they are no float tensors of four dimensions.

    """
    check_tensors(q=q, k=k)
    batch_size, num_heads, q_len, _ = q.shape
    sizes = {"batch_size": batch_size, "num_heads": num_heads, "q_len": q_len}
    return {**sizes, "num_kv_heads": k.shape[1], "kv_len": k.shape[2], "device": q.device}


class Bound(Answers):
    """What ``Program.bind`` returns: call it as ``bound(q, k, v)`` in every layer.

    Inputs that only the score or the epilogue reads may be left to the call, so that gradients
    reach tensors made in the layer: ``bound(q, k, v, rel_h=..., rel_w=...)``.

    Attributes:
        program: the program.
        spec: sizes, positions, device and block size.

    """

    def __init__(
        self,
        program: Compiled,
        spec: CallSpec,
        given: Mapping[str, Any],
        built: BlockMask | None = None,
        checked: bool = False,
    ) -> None:
        self.program = program
        self._spec: CallSpec | None = spec
        self._given = given if checked else as_tensors(given, spec.device)
        if not checked:
            known(given, [declared.name for declared in program.inputs])
        self._known: State | None = bind_state(program, spec, self._given, built)
        self._now: Step | None = None
        self._is_asked = False

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        scale: float | None = None,
        dropout_p: float = 0.0,
        return_lse: Literal[False] = False,
        fold_bias: bool = False,
        **inputs: Any,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        scale: float | None = None,
        dropout_p: float = 0.0,
        return_lse: Literal[True],
        fold_bias: bool = False,
        **inputs: Any,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        scale: float | None = None,
        dropout_p: float = 0.0,
        return_lse: bool,
        fold_bias: bool = False,
        **inputs: Any,
    ) -> Tensor | tuple[Tensor, Tensor]: ...

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: BackendName = "auto",
        scale: float | None = None,
        dropout_p: float = 0.0,
        return_lse: bool = False,
        fold_bias: bool = False,
        **inputs: Any,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend.

        What a key holds that no query of the call attends to does not matter, nor does its value;
        on flex the value must be finite, for it may be multiplied by a weight of 0.

        Args:
            q: queries ``[B, H, Q, D]``.
            k: keys ``[B, Hkv, K, D]``.
            v: values ``[B, Hkv, K, Dv]``.
            backend: a name of ``maskc.run.backends.BACKENDS``, or ``auto``.
            scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.
            dropout_p: probability that a weight is dropped; on sdpa and banded.
            return_lse: return the natural log-sum-exp ``[B, H, Q]`` too.
            fold_bias: run on sdpa with the bias in extra columns of q and k, and no bias tensor.
            **inputs: inputs that were left to the call.

        Returns:
            The output ``[B, H, Q, Dv]``, or the output and the log-sum-exp.

        Raises:
            BindError: a tensor does not fit.
            LoweringError: the backend cannot run the program; the help names one that can.

        """
        # Flags by identity: what is no bool is refused below, and a tensor has no truth of its own.
        plain = return_lse is False and fold_bias is False and type(dropout_p) is float
        is_auto = type(backend) is str and backend == backends.AUTO
        if is_auto and plain and not (inputs or dropout_p):
            step = None if in_trace() else self._now
            if step is not None and step.takes(q, k, v, scale) and (seen := self.seen):
                return attend(q, k, v, seen, scale)
        plan = self._plan(inputs)
        check_qkv(self.spec, q, k, v)
        backends.check_scale(scale)
        backends.check_dropout(dropout_p)
        check_flag("return_lse", return_lse)
        call = AttentionCall(q, k, v, self, scale, dropout_p, return_lse)
        name = backends.named(backend, fold_bias)
        if name == backends.AUTO:
            name = _chosen(plan, call)
        chosen = backends.BACKENDS[name]
        if (refused := chosen.refuses(plan, call)) is not None:
            raise refused.error()
        out, lse = chosen.run(plan, call)
        if not return_lse:
            return out
        assert lse is not None
        return out, lse

    @property
    def call_inputs(self) -> tuple[str, ...]:
        """The names of the inputs left to the call."""
        return self._state.missing

    @property
    def mask_mod(self) -> MaskMod:
        """The mask for FlexAttention: ``mask_mod(b, h, q_idx, kv_idx)``."""
        return self._current.blocks.mask_mod

    @cached_property
    def score_mod(self) -> ScoreMod | None:
        """The score for FlexAttention, or None where the program leaves it as it is."""
        plan = self._plan({})
        return score_mod(plan.module.score, plan.domain) if plan.changes_score else None

    @property
    def block_mask(self) -> BlockMask | None:
        """The block mask for FlexAttention, built when first asked for; None: nothing is masked.

        It is built again if a tensor that the mask reads was changed in place. In a trace, where
        none was built before, it is part of the graph.
        """
        state = self._current
        if state.left == TRUE:
            return None
        if in_trace() and state.blocks.built is None:
            return traced.traced_block_mask(state.traced, state.mask.domain)
        return state.blocks.block_mask

    @property
    def tiles(self) -> TileCounts:
        """How many tiles are full, partial and empty, and how many each step decided."""
        return self._current.blocks.counts

    @property
    def sparsity(self) -> float:
        """The share of tiles that are empty, in percent."""
        return 100 * self._current.blocks.tile_map.sparsity

    @property
    def empty_rows(self) -> Tensor:
        """Which query rows have no key, bool ``[B | 1, H | 1, Q]``, before any policy."""
        state = self._current
        return state.blocks.empty_rows if state.empty_rows is None else state.empty_rows

    @property
    def serves_backward(self) -> bool:
        """Whether the block mask has the tables that a backward pass reads."""
        return self.spec.backward

    @property
    def common_keys(self) -> range | None:
        """The keys of the one query of a decode step, where they stand side by side.

        In a window they are a slice of the cache, which needs no mask. None for other keys, where
        batches or heads see different ones, and where a look takes longer than a mask: for many
        queries, in a trace, on a GPU.
        """
        rows, device = self.spec.sizes[Sz.Q_LEN], self.spec.device.type
        if rows > 1 or device != "cpu" or in_trace():
            return None
        return self._current.blocks.common_keys

    @property
    def has_key_ranges(self) -> bool:
        """Whether FlexAttention gets comparisons of ids as ranges of keys."""
        state = self._current
        return state.blocks.mask.expr != state.mask.expr

    def bands(self, long: bool | None = None) -> Parts:
        """Return the bands of query rows that the banded backend runs, made when first asked for.

        ``torch.compile`` takes them as constants: ask before, ``bound.bands()``. A binding with
        other bands compiles again, as often as torch's ``recompile_limit`` allows.

        Args:
            long: whether those without a mask tensor may have any length, as they may where the
                program leaves the score alone and nobody needs the log-sum-exp; None makes both
                kinds and returns these.

        Raises:
            LoweringError: a trace asks, and none were made before.

        """
        blocks = self._current.blocks
        if in_trace():
            return blocks.traced_bands(long is not False)
        if long is None:
            blocks.bands(long=False)
        return blocks.bands(long is not False)

    def has_lasting_bands(self, long: bool) -> bool:
        """Tell whether the bands are made, and are those of every binding of these sizes."""
        return self._current.blocks.has_lasting_bands(long)

    def flex_args(self, **inputs: Any) -> dict[str, Any]:
        """Return the keywords for ``flex_attention(q, k, v, ...)``.

        On a GPU ``kernel_options`` is among them where the block size needs other tiles than the
        kernel's own; rows of q of more than 512 bytes may need smaller ones than it names.

        Raises:
            LoweringError: the program has an epilogue, which no keyword carries, or no kernel of a
                GPU has tiles that fit the block size.

        """
        plan = self._plan(inputs)
        _refuse_epilogue(plan, "flex_attention")
        return flex.flex_args(plan, self.block_mask)

    def sdpa_args(
        self, q: Tensor | None = None, k: Tensor | None = None, **inputs: Any
    ) -> dict[str, Any]:
        """Return the keywords for ``F.scaled_dot_product_attention(q, k, v, ...)``.

        Args:
            q: queries, needed where the score is more than a bias.
            k: keys; likewise.
            **inputs: inputs that were left to the call; ``scale`` for another scale.

        Raises:
            LoweringError: q and k are needed, or the program has an epilogue.

        """
        scale = inputs.pop("scale", None)
        backends.check_scale(scale)
        _check_given(self.spec, q, k)
        plan = self._plan(inputs)
        _refuse_epilogue(plan, "scaled_dot_product_attention")
        return sdpa.sdpa_args(plan, q, k, scale)

    def attn_mask(
        self, q: Tensor | None = None, k: Tensor | None = None, **inputs: Any
    ) -> Tensor | None:
        """Return the dense mask for SDPA, boolean or float, in the smallest shape that broadcasts.

        None means that no pair is masked and no score changed.
        """
        _check_given(self.spec, q, k)
        return sdpa.attn_mask(self._plan(inputs), q, k)

    def dense_mask(self) -> Tensor:
        """Return the mask as booleans ``[B | 1, H | 1, Q, K]``, true where a query attends."""
        bound, sizes = self._current.mask, self.spec.sizes
        mask = dense(bound.expr, bound.domain)
        return mask.expand(*mask.shape[:2], sizes[Sz.Q_LEN], sizes[Sz.KV_LEN])

    def scores(self, q: Tensor, k: Tensor, *, scale: float | None = None, **inputs: Any) -> Tensor:
        """Return the scores ``[B, H, Q, K]`` that the softmax is given, -inf where masked."""
        check_qkv(self.spec, q, k)
        backends.check_scale(scale)
        return reference.scores(self._plan(inputs), q, k, scale)

    def weights(self, q: Tensor, k: Tensor, *, scale: float | None = None, **inputs: Any) -> Tensor:
        """Return the attention probabilities ``[B, H, Q, K]``, before any epilogue."""
        check_qkv(self.spec, q, k)
        backends.check_scale(scale)
        return reference.probabilities(self._plan(inputs), q, k, scale)

    def epilogue(self, out: Tensor, lse: Tensor | None = None, **inputs: Any) -> Tensor:
        """Return the output of a kernel that you ran yourself after the program's epilogue.

        Args:
            out: ``[B, H, Q, Dv]``.
            lse: natural log-sum-exp ``[B, H, Q]``; needed if the epilogue reads it.
            **inputs: inputs that were left to the call.

        """
        plan = self._plan(inputs)
        check_out(self.spec, out, lse)
        if lse is None and plan.facts.reads_lse:
            message = "the epilogue reads `lse`, which is missing"
            raise BindError("M423", message, help="pass it: `bound.epilogue(out, lse)`")
        return plan.epilogue(out, lse)

    def at(
        self,
        *,
        q_len: int | None = None,
        kv_len: int | None = None,
        q_offset: int | Tensor | None = None,
        kv_offset: int | Tensor | None = None,
        q_positions: Any = None,
        kv_positions: Any = None,
        **inputs: Any,
    ) -> Bound:
        """Return the same binding at other lengths and positions: the next step of a decode loop.

        What was worked out for the program and the shapes of its inputs is not worked out again.
        What is not given stays as it was bound::

            step = program.bind(q_len=1, kv_len=1, doc=doc)
            for n in range(first, last):
                step = step.at(kv_len=n + 1, q_offset=n)

        Args:
            q_len: the number of queries.
            kv_len: the number of keys, those of the cache included.
            q_offset: logical position of query row 0, a number or one for each batch.
            kv_offset: logical position of key row 0; likewise.
            q_positions: logical positions of the query rows, ``[Q]`` or ``[B, Q]``.
            kv_positions: logical positions of the key rows, ``[K]`` or ``[B, K]``.
            **inputs: inputs that are others now, such as ids of a longer sequence.

        Raises:
            BindError: an input that was bound is too short for the new lengths, or a given one
                does not fit.

        """
        offsets = {Q_POSITION.name: q_offset, K_POSITION.name: kv_offset}
        same = q_len is None or (type(q_len) is int and q_len == 1)
        if same and q_positions is None is kv_positions and not in_trace():
            now = self._step
            step = None if now is None else now.at(kv_len, offsets, inputs)
            if step is not None:
                return self._later(step, {**self._given, **inputs} if inputs else self._given)
        spec = next_step(
            self.spec,
            q_len=q_len,
            kv_len=kv_len,
            q_offset=q_offset,
            kv_offset=kv_offset,
            q_positions=q_positions,
            kv_positions=kv_positions,
        )
        if not inputs:
            return Bound(self.program, spec, self._given, checked=True)
        return Bound(self.program, spec, {**self._given, **inputs})

    def _later(self, step: Step, given: Mapping[str, Any]) -> Bound:
        """Return the binding of a step; all else of it is worked out when somebody asks for it."""
        later = Bound.__new__(Bound)
        later.program = self.program
        later._given = given
        later._spec = later._known = None
        later._now, later._is_asked = step, True
        return later

    @property
    def spec(self) -> CallSpec:
        """Sizes, positions, device and block size."""
        if self._spec is not None:
            return self._spec
        assert self._now is not None
        spec = self._now.spec()
        if not in_trace():  # what a trace makes is the graph's
            self._spec = spec
        return spec

    @property
    def _state(self) -> State:
        if self._known is not None:
            return self._known
        state = bind_state(self.program, self.spec, self._given)
        if not in_trace():
            self._known = state
        return state

    @property
    def _step(self) -> Step | None:
        """The call as a step of a decode loop, if its next can be told from it."""
        if not self._is_asked:
            self._now = begin(self.program, self.spec, self._given)
            self._is_asked = True
        return self._now

    @property
    def seen(self) -> Seen | None:
        """What the one query of a decode step sees, where a look tells; None: call it."""
        step = None if in_trace() else self._step
        if step is not None and not step.is_fresh:
            self._spec, step = self.spec, step.again()
            self._now = step
        return None if step is None else step.seen

    @property
    def is_causal(self) -> bool | None:
        """What SDPA is told where it needs no mask tensor; None where it does, or does not do."""
        if self.call_inputs:
            return None
        plan = self._plan({})
        bare = not (plan.has_epilogue or plan.changes_score or plan.nan_rows is not None)
        return plan.masks if bare and sdpa.is_maskless(plan) else None

    def to(self, device: torch.device | str) -> Bound:
        """Return the same binding with its tensors on another device."""
        return Bound(self.program, *moved(self.spec, self._given, device))

    def batches(self, start: int, stop: int) -> Bound:
        """Return the binding of batches ``start`` to ``stop``, a microbatch of a pipeline."""
        size = self.spec.sizes[Sz.BATCH_SIZE]
        if not (type(start) is int and type(stop) is int and 0 <= start < stop <= size):
            message = f"batches {start!r} to {stop!r} are none of the {size} batches"
            raise BindError("M432", message, help="a microbatch has at least one batch")
        roots = self.program.module.roots
        return Bound(self.program, *sliced(roots, self.spec, self._given, start, stop))

    def __reduce__(self) -> tuple[object, ...]:
        # What a data loader's worker has built comes along, so that it is not built again.
        return Bound, (self.program, self.spec, self._given, self._current.blocks.built)

    @property
    def _current(self) -> State:
        """The state, made again where a tensor of the mask was changed in place."""
        state = self._state
        if state.is_stale:
            state = self._known = rebound(state, self.program, self.spec, self._given)
        return state

    def _plan(self, call_inputs: Mapping[str, Any]) -> Plan:
        """Return the whole program over tensors, with the inputs of this call."""
        state = self._current
        score = state.score
        if call_inputs or score is None:
            self._check_call_inputs(call_inputs)
            score = state.with_score(self.spec, {**self._given, **call_inputs})
        return state.plan(score)


def _chosen(plan: Plan, call: AttentionCall) -> str:
    choice = backends.choose(plan, call)
    if not in_trace():
        log.LOGGER.debug("auto takes %s: %s", choice.backend, choice.reason)
    return choice.backend


def _refuse_epilogue(plan: Plan, target: str) -> None:
    if plan.has_epilogue or plan.nan_rows is not None:
        what = "an epilogue `out = ...`" if plan.has_epilogue else "rows that become NaN"
        raise LoweringError(
            "M507",
            f"the program has {what}, which no keyword of {target} carries",
            plan.module.out.span,
            "call `bound(q, k, v)`, or `bound.epilogue(out, lse)` on what the kernel gives",
        )


def _check_given(spec: CallSpec, q: Tensor | None, k: Tensor | None) -> None:
    """Refuse a q and a k that are not those of the call; one alone is of no use, and looked at."""
    if q is not None and k is not None:
        check_qkv(spec, q, k)
    else:
        check_tensors(**{name: x for name, x in (("q", q), ("k", k)) if x is not None})
