"""A program bound to the sizes and tensors of a call: run it, or take its parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maskc.binding import bind as parts
from maskc.binding import inputs
from maskc.binding.call import CallSpec
from maskc.binding.check_qkv import check_qkv
from maskc.binding.relocate import moved, sliced
from maskc.binding.signature import call_signature, tracer
from maskc.blocks import traced
from maskc.blocks.auto_size import UNSEEN
from maskc.blocks.mask_blocks import MaskBlocks, TileCounts
from maskc.errors import BindError, LoweringError
from maskc.ir.nodes import OUT, SCORE, TRUE, Module
from maskc.ir.types import Sz
from maskc.lower import flex, reference, sdpa
from maskc.lower.codegen.mods import MaskMod, ScoreMod, score_mod
from maskc.lower.folding_error import folding_error
from maskc.lower.plan import Plan, facts
from maskc.lower.tensor_cache import TensorCache
from maskc.run import backends as dispatch

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn.attention.flex_attention import BlockMask

    from maskc.program import Program


class Bound:
    """What ``Program.bind`` returns: call it as ``bound(q, k, v)`` in every layer.

    Inputs that only the score or the epilogue reads may be left to the call, so that gradients
    reach tensors made in the layer: ``bound(q, k, v, rel_h=..., rel_w=...)``.

    Attributes:
        program: the program.
        request: sizes, positions, device and block size.
        late: names of the inputs left to the call.

    """

    def __init__(self, program: Program, request: CallSpec, given: Mapping[str, Any]) -> None:
        self.program = program
        self.request = request
        self._given = inputs.as_tensors(given, request.device)
        inputs.known(given, [declared.name for declared in program.inputs])
        self._bind()

    def _bind(self) -> None:
        """Work out what depends on the tensors of the mask, and on which rows they leave empty."""
        program, request, given = self.program, self.request, self._given
        module = program.module
        self._mask = parts.bind_mask(call_signature((module.mask,), request), request, given)
        self._nan_rows: Tensor | None = None
        self._policy_rows: Tensor | None = None
        self._last_tiled = MaskBlocks(self._mask, request)
        self._handle_empty_rows(program.empty_rows)
        roots = (module.score, module.out)
        self._frame = call_signature(
            roots, request, None if self._mask.expr == TRUE else self._mask.expr
        )
        self._traced_code = tracer()
        self._blocks = traced.blocks(self._mask.expr, request.device, request.block_size or UNSEEN)
        self.late = inputs.missing(roots, given)
        self._score = None if self.late else self._bind_score(given)
        self._kept = TensorCache(tuple((self._score or self._mask).domain.tensors.values()))

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        backend: str = "auto",
        scale: float | None = None,
        dropout_p: float = 0.0,
        return_lse: bool = False,
        fold_bias: bool = False,
        **late: Any,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend.

        Args:
            q: queries ``[B, H, Q, D]``.
            k: keys ``[B, Hkv, K, D]``.
            v: values ``[B, Hkv, K, Dv]``.
            backend: ``flex``, ``sdpa``, ``reference`` or ``auto``.
            scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.
            dropout_p: probability that a weight is dropped; sdpa only.
            return_lse: return the natural log-sum-exp ``[B, H, Q]`` too.
            fold_bias: run on sdpa with the bias in extra columns of q and k, and no bias tensor.
            **late: inputs that were left to the call.

        Returns:
            The output ``[B, H, Q, Dv]``, or the output and the log-sum-exp.

        Raises:
            BindError: a tensor does not fit.
            LoweringError: the backend cannot run the program; the help names one that can.

        """
        plan = self._plan(late)
        check_qkv(self.request, q, k, v)
        dispatch.check_dropout(dropout_p)
        if dispatch.named(backend) != "auto":
            dispatch.refuse_folding(backend, fold_bias)
        elif fold_bias:
            backend = "sdpa"
        else:
            choice = dispatch.choose(plan, (q, k, v), dropout_p)
            backend, fold_bias = choice.backend, choice.fold_bias
        match backend:
            case "flex":
                dispatch.refuse_dropout("flex", dropout_p)
                out, lse = flex.flex(plan, q, k, v, self.block_mask, scale, return_lse)
            case "sdpa":
                dispatch.refuse_mixed((q, k, v))
                out, lse = sdpa.sdpa(plan, q, k, v, scale, dropout_p, return_lse, fold_bias)
            case _:
                dispatch.refuse_dropout("the reference", dropout_p)
                out, lse = reference.reference(plan, q, k, v, scale)
        if not return_lse:
            return out
        assert lse is not None
        return out, lse

    @property
    def mask_mod(self) -> MaskMod:
        """The mask for FlexAttention: ``mask_mod(b, h, q_idx, kv_idx)``."""
        return self._tiled.mask_mod

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
        import torch

        if self._mask.expr == TRUE:
            return None
        if torch.compiler.is_compiling() and self._tiled.built is None:
            return traced.traced_block_mask(self._blocks, self._mask.domain)
        return self._tiled.block_mask

    @property
    def tiles(self) -> TileCounts:
        """How many tiles are full, partial and empty, and how many each step decided."""
        return self._tiled.counts

    @property
    def sparsity(self) -> float:
        """The share of tiles that are empty, in percent."""
        return 100 * self._tiled.tile_map.sparsity

    @property
    def empty_rows(self) -> Tensor:
        """Which query rows have no key, bool ``[B | 1, H | 1, Q]``, before any policy."""
        tiled = self._tiled
        return tiled.empty_rows if self._policy_rows is None else self._policy_rows

    @property
    def has_key_ranges(self) -> bool:
        """Whether FlexAttention gets comparisons of ids as ranges of keys."""
        return self._tiled.mask.expr != self._mask.expr

    def flex_args(self, **late: Any) -> dict[str, Any]:
        """Return the keywords for ``flex_attention(q, k, v, ...)``.

        On a GPU ``kernel_options`` is among them where the block size needs other tiles than the
        kernel's own; rows of q of more than 512 bytes may need smaller ones than it names.

        Raises:
            LoweringError: the program has an epilogue, which no keyword carries, or no kernel of a
                GPU has tiles that fit the block size.

        """
        plan = self._plan(late)
        _refuse_epilogue(plan, "flex_attention")
        return flex.flex_args(plan, self.block_mask)

    def sdpa_args(
        self, q: Tensor | None = None, k: Tensor | None = None, **late: Any
    ) -> dict[str, Any]:
        """Return the keywords for ``F.scaled_dot_product_attention(q, k, v, ...)``.

        Args:
            q: queries, needed where the score is more than a bias.
            k: keys; likewise.
            **late: inputs that were left to the call; ``scale`` for another scale.

        Raises:
            LoweringError: q and k are needed, or the program has an epilogue.

        """
        scale = late.pop("scale", None)
        plan = self._plan(late)
        _refuse_epilogue(plan, "scaled_dot_product_attention")
        return sdpa.sdpa_args(plan, q, k, scale)

    def attn_mask(
        self, q: Tensor | None = None, k: Tensor | None = None, **late: Any
    ) -> Tensor | None:
        """Return the dense mask for SDPA, boolean or float, in the smallest shape that broadcasts.

        None means that no pair is masked and no score changed.
        """
        return sdpa.attn_mask(self._plan(late), q, k)

    def dense_mask(self) -> Tensor:
        """Return the mask as booleans ``[B | 1, H | 1, Q, K]``, true where a query attends."""
        plan = self._plan_mask()
        mask = plan.dense(plan.module.mask)
        return mask.expand(
            *mask.shape[:2], self.request.sizes[Sz.Q_LEN], self.request.sizes[Sz.KV_LEN]
        )

    def scores(self, q: Tensor, k: Tensor, *, scale: float | None = None, **late: Any) -> Tensor:
        """Return the scores ``[B, H, Q, K]`` that the softmax is given, -inf where masked."""
        check_qkv(self.request, q, k)
        return reference.scores(self._plan(late), q, k, scale)

    def weights(self, q: Tensor, k: Tensor, *, scale: float | None = None, **late: Any) -> Tensor:
        """Return the attention probabilities ``[B, H, Q, K]``, before any epilogue."""
        check_qkv(self.request, q, k)
        return reference.probabilities(self._plan(late), q, k, scale)

    def epilogue(self, out: Tensor, lse: Tensor | None = None, **late: Any) -> Tensor:
        """Return the output of a kernel that you ran yourself after the program's epilogue.

        Args:
            out: ``[B, H, Q, Dv]``.
            lse: natural log-sum-exp ``[B, H, Q]``; needed if the epilogue reads it.
            **late: inputs that were left to the call.

        """
        plan = self._plan(late)
        if lse is None and plan.facts.reads_lse:
            message = "the epilogue reads `lse`, which is missing"
            raise BindError("M423", message, help="pass it: `bound.epilogue(out, lse)`")
        return plan.epilogue(out, lse)

    def choice(self, q: Tensor, k: Tensor, v: Tensor, **late: Any) -> dispatch.Choice:
        """Return which backend ``auto`` takes for these tensors, and why."""
        return dispatch.choose(self._plan(late), (q, k, v))

    def folding_error(
        self, q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, **late: Any
    ) -> float:
        """Return the largest error of the output with ``fold_bias=True`` against float64.

        Measured on the tensors and the machine at hand, on up to 256 evenly spaced query rows,
        before any epilogue.

        Raises:
            LoweringError: the bias cannot be folded.

        """
        check_qkv(self.request, q, k, v)
        return folding_error(self._plan(late), q, k, v, scale)

    def explain(
        self, q: Tensor | None = None, k: Tensor | None = None, v: Tensor | None = None, **late: Any
    ) -> str:
        """Return what a call costs: the backend that ``auto`` takes, the tiles, bytes of masks.

        Args:
            q: queries of the call; without q, k and v, those of float32 without a gradient.
            k: keys.
            v: values.
            **late: inputs that were left to the call; without them only the mask is told of.

        """
        from maskc.explain.call import explain_call

        plan = None if set(self.late) - set(late) else self._plan(late)
        qkv = None if q is None or k is None or v is None else (q, k, v)
        if qkv is not None:
            check_qkv(self.request, *qkv)
        return explain_call(self, plan, qkv)

    @property
    def _tiled(self) -> MaskBlocks:
        """The mask as FlexAttention gets it, from its tensors as they are now."""
        self._refresh()
        return self._last_tiled

    def _refresh(self) -> None:
        """Forget what was worked out from tensors of the mask that have changed in place since."""
        import torch

        if torch.compiler.is_compiling() or self._last_tiled.is_fresh:
            return
        if self._policy_rows is None:
            self._last_tiled = MaskBlocks(self._mask, self.request)
        else:
            self._bind()

    def to(self, device: torch.device | str) -> Bound:
        """Return the same binding with its tensors on another device."""
        return Bound(self.program, *moved(self.request, self._given, device))

    def batches(self, start: int, stop: int) -> Bound:
        """Return the binding of batches ``start`` to ``stop``, a microbatch of a pipeline."""
        size = self.request.sizes[Sz.BATCH_SIZE]
        if not 0 <= start < stop <= size:
            message = f"batches {start} to {stop} are none of the {size} batches"
            raise BindError("M427", message, help="a microbatch has at least one batch")
        roots = self.program.module.roots
        return Bound(self.program, *sliced(roots, self.request, self._given, start, stop))

    def __reduce__(self) -> tuple[object, ...]:
        # What a data loader's worker has built comes along, so that it is not built again.
        return _bound_again, (self.program, self.request, self._given, self._tiled.built)

    def _handle_empty_rows(self, policy: str) -> None:
        if policy == "zero" or self._mask.expr == TRUE:
            return
        empty = self._policy_rows = self.empty_rows
        if not bool(empty.any()):
            return
        match policy:
            case "all":
                self._mask = parts.attending_all(self._mask, empty)
                self._last_tiled = MaskBlocks(self._mask, self.request)
            case "nan":
                self._nan_rows = empty
            case _:
                batch, head, row = (int(i) for i in empty.nonzero()[0])
                count = int(empty.sum())
                raise BindError(
                    "M421",
                    f"{count} query rows have no key, first batch {batch}, head {head}, row {row}",
                    self.program.module.mask.span,
                    'allow a key there, or take `empty_rows="zero"`',
                )

    def _plan(self, late: Mapping[str, Any]) -> Plan:
        """Return the whole program over tensors, with the inputs of this call."""
        if self._policy_rows is not None:
            self._refresh()
        score = self._score
        if late or score is None:
            score = self._late_score(late)
        module = Module(self._mask.expr, score.score, score.out)
        known, has_keys = score.facts, self._mask.has_keys
        return Plan(module, score.domain, known, has_keys, self._nan_rows, self._kept)

    def _late_score(self, late: Mapping[str, Any]) -> parts.BoundScore:
        inputs.known(late, [declared.name for declared in self.program.inputs])
        module = self.program.module
        for name in late:
            if name in inputs.names((module.mask,)):
                help = "give it to `bind`"
                raise BindError(
                    "M424", f"input `{name}` is read by the mask, not by the call", help=help
                )
        return self._bind_score({**self._given, **late})

    def _bind_score(self, given: Mapping[str, Any]) -> parts.BoundScore:
        return parts.bind_score(self._frame, self.request, given, self._mask, self._traced_code)

    def _plan_mask(self) -> Plan:
        self._refresh()
        module = Module(self._mask.expr, SCORE, OUT)
        known = facts(SCORE, OUT)
        return Plan(module, self._mask.domain, known, self._mask.has_keys, self._nan_rows)


def _bound_again(
    program: Program, request: CallSpec, given: Mapping[str, Any], built: BlockMask | None
) -> Bound:
    """Return a pickled binding."""
    bound = Bound(program, request, given)
    bound._last_tiled = bound._last_tiled.with_built(built)
    return bound


def _refuse_epilogue(plan: Plan, target: str) -> None:
    if plan.has_epilogue or plan.nan_rows is not None:
        what = "an epilogue `out = ...`" if plan.has_epilogue else "rows that become NaN"
        raise LoweringError(
            "M507",
            f"the program has {what}, which no keyword of {target} carries",
            plan.module.out.span,
            "call `bound(q, k, v)`, or `bound.epilogue(out, lse)` on what the kernel gives",
        )
