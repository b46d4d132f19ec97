"""A program as a backend of diffusers' dispatcher, which calls it for each layer that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any, cast
from weakref import finalize

from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch import Tensor

from maskc.errors import ModelError
from maskc.ir.in_trace import in_trace
from maskc.program import Program, compile_mask
from maskc.run.bound import Bound

MASK = "attn_mask"
"""The input by which a program reads the mask of a layer."""

_numbers = count()


def register(text: str | Program, inputs: Mapping[str, Tensor], *, is_for_all: bool) -> Any:
    """Register a program as a backend, and return its name.

    Args:
        text: the program.
        inputs: the tensors that it reads, and others.
        is_for_all: whether it was given for all layers, so that one of other tokens is refused.

    Raises:
        MaskcError: the text is wrong, or an input has the name of the layer's own mask.

    """
    program = text if isinstance(text, Program) else compile_mask(text)
    names = {declared.name for declared in program.inputs}
    if MASK in names:
        message = f"`{MASK}` is an input that the layers give themselves"
        raise ModelError("M906", message, help="rename the input of the program")
    read = {name: value for name, value in inputs.items() if name in names}
    name = _name(f"maskc_{next(_numbers)}")
    attached = _Attached(program, read, is_for_all)
    _AttentionBackendRegistry.register(name.value)(attached.attend)
    finalize(name, _unregister, name.value)
    return name


def several_tokens(where: str) -> ModelError:
    """Return the error for one program that is given to layers of their own and of other tokens."""
    message = f"one program is given for all layers, and `{where}` attends to other tokens"
    help = 'name the layers: `attach(model, {"*.attn1": ...})`'
    return ModelError("M906", message, help=help)


@dataclass(slots=True)
class _Attached:
    """A program as a backend, with what it was last bound to: layers alike share a binding."""

    program: Program
    inputs: Mapping[str, Tensor]
    is_for_all: bool
    last: _Bound | None = field(default=None, repr=False)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
        return_lse: bool = False,
        _parallel_config: object = None,
    ) -> Any:
        """Attend in one layer; q, k and v are ``[batch, tokens, heads, width]``.

        Raises:
            MaskcError: the program does not fit the layer, or cannot carry what it asks for.

        """
        if _parallel_config is not None:
            message = "the model splits its tokens over ranks, of which the program knows nothing"
            raise ModelError("M903", message, help="attach to a model without context parallelism")
        if self.is_for_all and query.shape[1] != key.shape[1]:
            raise several_tokens(f"a layer of {query.shape[1]} queries and {key.shape[1]} keys")
        q, k, v = (part.transpose(1, 2) for part in (query, key, value))
        mask = attn_mask if attn_mask is None else _in_four_dimensions(attn_mask, q, k)
        is_bias = mask is not None and mask.is_floating_point()
        late: dict[str, Any] = {MASK: mask} if is_bias else {}
        bound = self._bound(q, k, None if is_bias else mask, attn_mask, is_causal)
        found: Any = bound(q, k, v, scale=scale, dropout_p=dropout_p, return_lse=return_lse, **late)
        if return_lse:
            return found[0].transpose(1, 2), found[1].transpose(1, 2)
        return found.transpose(1, 2)

    def _bound(
        self,
        query: Tensor,
        key: Tensor,
        allowed: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Bound:
        kind = None if attn_mask is None else attn_mask.is_floating_point()
        program = _with_mask(self.program, kind, is_causal)
        inputs = {**self.inputs, **({} if allowed is None else {MASK: allowed})}
        if in_trace():
            return program.bind_to(query, key, **inputs)
        read = tuple(inputs.values()) if allowed is None else (*self.inputs.values(), attn_mask)
        versions = tuple(tensor._version for tensor in read if tensor is not None)
        state = (program, query.shape, key.shape, query.device, versions)
        if self.last is None or not self.last.is_of(state, read):
            self.last = _Bound(state, read, program.bind_to(query, key, **inputs))
        return self.last.bound


@dataclass(frozen=True, slots=True)
class _Bound:
    """A binding, with the shapes, the versions and the tensors that it was made of."""

    state: tuple[Any, ...]
    read: tuple[Tensor | None, ...]
    bound: Bound

    def is_of(self, state: tuple[Any, ...], read: tuple[Tensor | None, ...]) -> bool:
        """Tell whether it holds for these tensors."""
        return self.state == state and all(a is b for a, b in zip(self.read, read, strict=True))


def _in_four_dimensions(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Return the mask of a layer ``[batch, heads, queries, keys]``, as diffusers reads it.

    Raises:
        ModelError: it has three dimensions.

    """
    if mask.dim() == 4:
        return mask
    if mask.dim() == 2:
        of_keys = mask.shape == (query.shape[0], key.shape[2])
        return mask[:, None, None, :] if of_keys else mask[None, None]
    message = f"the layer has a mask of shape {list(mask.shape)}"
    help = "expected [batch, keys], [queries, keys] or [batch, heads, queries, keys]"
    raise ModelError("M903", message, help=help)


@lru_cache(maxsize=256)
def _with_mask(program: Program, is_bias: bool | None, is_causal: bool) -> Program:
    """Return a program with the mask of a layer besides its own."""
    if is_causal:
        program = program.masked_by("kv_idx <= q_idx")
    if is_bias is None:
        return program
    if not is_bias:
        return program.masked_by(f"input {MASK}: bool\n{MASK}[head, q_idx, kv_idx]")
    bias = f"input {MASK}: float\nscore = score + {MASK}[head, q_idx, kv_idx]"
    return compile_mask(f"{program.text}\n{bias}", empty_rows=program.empty_rows)


def _name(value: str) -> Any:
    """Return a name as diffusers' enumeration of backends would hold it.

    The dispatcher takes members of the enumeration alone, which cannot be extended; it is a class
    of strings, and one more of them passes for a member.
    """
    name = str.__new__(AttentionBackendName, value)
    name._name_ = name._value_ = value  # so that it is found under the plain string, too
    return cast(Any, name)


def _unregister(value: str) -> None:
    """Drop a backend that no processor names any more, with the tensors it reads."""
    for table in ("_backends", "_constraints", "_supported_arg_names"):
        getattr(_AttentionBackendRegistry, table).pop(value, None)
