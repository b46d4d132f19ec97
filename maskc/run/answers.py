"""Answers of a binding about itself: why a pair is seen, what a call costs, how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast, overload

from torch import Tensor

from maskc.binding.call import CallSpec
from maskc.binding.check_qkv import check_qkv
from maskc.binding.inputs import as_tensors, known, names_of
from maskc.compiled import Compiled
from maskc.errors import BindError
from maskc.explain.why.answer import Why, WhyRow
from maskc.explain.why.ask import Question, place_of
from maskc.ir.nodes import TRUE
from maskc.lower.attention_call import AttentionCall, Blocks
from maskc.lower.plan import Plan
from maskc.run import backends
from maskc.run.explain import explain_call, stand_ins
from maskc.run.notebook import binding_html, input_lines, sizes_line
from maskc.run.state import State


class Answers:
    """The part of ``Bound`` that answers questions and runs nothing."""

    program: Compiled
    _given: Mapping[str, Any]

    if TYPE_CHECKING:  # what ``Bound`` has

        @property
        def spec(self) -> CallSpec:
            """Sizes, positions, device and block size."""

        @property
        def call_inputs(self) -> tuple[str, ...]:
            """The names of the inputs left to the call."""

        @property
        def _current(self) -> State: ...

        def _plan(self, call_inputs: Mapping[str, Any]) -> Plan: ...

    def choice(self, q: Tensor, k: Tensor, v: Tensor, **inputs: Any) -> backends.Choice:
        """Return which backend ``auto`` takes for these tensors, and why."""
        check_qkv(self.spec, q, k, v)
        return backends.choose(self._plan(inputs), AttentionCall(q, k, v, self._blocks))

    def explain(
        self,
        q: Tensor | None = None,
        k: Tensor | None = None,
        v: Tensor | None = None,
        **inputs: Any,
    ) -> str:
        """Return what a call costs: the backend that ``auto`` takes, the tiles, bytes of masks.

        Args:
            q: queries of the call; without q, k and v, those of float32 without a gradient.
            k: keys.
            v: values.
            **inputs: inputs that were left to the call; without them only the mask is
                described.

        """
        call = stand_ins(self.spec, self._blocks)
        if q is not None and k is not None and v is not None:
            check_qkv(self.spec, q, k, v)
            call = AttentionCall(q, k, v, self._blocks)
        missing = tuple(name for name in self.call_inputs if name not in inputs)
        state = self._current
        tiles = None if state.mask.expr == TRUE else state.blocks
        plan = None if missing else self._plan(inputs)
        return explain_call(self.spec, tiles, missing, plan, call)

    @overload
    def why(self, q: int | None, k: int, **more: Any) -> Why: ...

    @overload
    def why(self, q: int | None = None, *, k: int, **more: Any) -> Why: ...

    @overload
    def why(self, q: int | None = None, *, kv_idx: int, **more: Any) -> Why: ...

    @overload
    def why(self, q: int | None = None, **more: Any) -> WhyRow: ...

    def why(
        self,
        q: int | None = None,
        k: int | None = None,
        *,
        batch: int = 0,
        head: int = 0,
        q_idx: int | None = None,
        kv_idx: int | None = None,
        qk: tuple[Tensor, Tensor] | None = None,
        scale: float | None = None,
        **inputs: Any,
    ) -> Why | WhyRow:
        """Tell why a query sees a key or does not, in the names that the program was written in.

        Without a key: which keys the query sees, and what bounds them. Printing the answer tells
        all; ``as_dict()`` is the same as plain data.

        Args:
            q: logical position of the query, as `q` in the program.
            k: logical position of the key.
            batch: which batch.
            head: which query head of this call.
            q_idx: the row of the query, in place of ``q``.
            kv_idx: the row of the key, in place of ``k``.
            qk: the tensors ``(q, k)`` of the call, for the scores and the weight of the key.
            scale: as for the call.
            **inputs: inputs that were left to the call.

        Raises:
            BindError: the call has no such query or key, or a tensor does not fit.

        """
        self._check_call_inputs(inputs)
        if qk is not None:
            check_qkv(self.spec, *qk)
            backends.check_scale(scale)
        place = {"q": q, "k": k, "q_idx": q_idx, "kv_idx": kv_idx, "batch": batch, "head": head}
        at, names_key = place_of(self.spec, **place)
        given = {**self._given, **as_tensors(inputs, self.spec.device)}
        complete = all(name in inputs for name in self.call_inputs)
        plan = self._plan(inputs) if complete else None
        question = Question(self.program, self.spec, given, self._current.mask, plan)
        return question.pair(at, qk, scale) if names_key else question.row(at)

    def __repr__(self) -> str:
        inputs = "".join(f", {line}" for line in input_lines(self._given))
        text = "; ".join(self.program.text.splitlines())
        return f"<maskc binding, {sizes_line(self.spec)}{inputs}: {text}>"

    def _repr_html_(self) -> str:
        return binding_html(self.program, self.spec, self._given, self._current.blocks)

    @property
    def _blocks(self) -> Blocks:
        return cast("Blocks", self)

    def _check_call_inputs(self, names: Iterable[str]) -> None:
        known(names, [declared.name for declared in self.program.inputs])
        of_mask = names_of((self.program.module.mask,))
        for name in names:
            if name in of_mask:
                message = f"input `{name}` is read by the mask, not by the call"
                raise BindError("M424", message, help="give it to `bind`")
