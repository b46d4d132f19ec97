"""diffusers: a program in the place of the full attention of a diffusion transformer.

>>> from maskc.integrations.diffusers import attach, detach
>>> attach(transformer, "axis t, h, w; natten(h, 7) & natten(w, 7)")

The attention of diffusers' models goes through one dispatcher, to a backend that each attention's
processor may name. ``attach`` registers a backend for its program and has the processors name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache
from itertools import count
from typing import Any, cast
from weakref import finalize

from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch import Tensor, nn

from maskc.errors import ModelError, did_you_mean
from maskc.ir.in_trace import in_trace
from maskc.program import Program, compile_mask
from maskc.run.bound import Bound

__all__ = ["attach", "detach"]

Programs = str | Program | Mapping[str, str | Program]
"""A program for all layers, or programs by patterns of their paths, such as ``*.attn1``."""

BACKEND = "_attention_backend"
"""The attribute by which a processor names its backend."""
BEFORE = "maskc_before"
MASK = "attn_mask"
"""The input by which a program reads the mask of a layer."""

_numbers = count()


def attach(
    model: nn.Module, program: Programs, *, inputs: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Let the layers of a model attend by a program.

    A mask that the model makes itself, of padded text for instance, holds besides.

    Args:
        model: of diffusers, or a part of one.
        program: for every layer; or programs by patterns of module paths, ``{"*.attn1": text}``,
            of which the first that fits a layer counts. Layers that none fits stay as they are.
        inputs: the tensors that the programs read.

    Returns:
        The model. Positions count the rows of q and k as the layer has them: where a model puts
        text tokens in front of the grid, write ``axis h, w from N``.

    Raises:
        ModelError: no layer goes through diffusers' dispatcher, a pattern fits none, or one
            program is given for layers that attend to tokens of their own and to others.
        MaskcError: the text of a program is wrong.

    """
    layers = _layers(model)
    if not layers:
        message = f"no attention of {type(model).__name__} goes through diffusers' dispatcher"
        help = "its processors attend by code of their own, so no program can take their place"
        raise ModelError("M901", message, help=help)
    chosen = _chosen(program, layers)
    given = {text: _backend(text, inputs or {}, program) for text in dict.fromkeys(chosen.values())}
    for path, text in chosen.items():
        own = vars(layers[path].processor)
        own.setdefault(BEFORE, getattr(layers[path].processor, BACKEND))
        own[BACKEND] = given[text]
    return model


def detach(model: nn.Module) -> nn.Module:
    """Let a model attend as it did before ``attach``."""
    for layer in _layers(model).values():
        own = vars(layer.processor)
        if BEFORE in own:
            own[BACKEND] = own.pop(BEFORE)
    return model


def _layers(model: nn.Module) -> dict[str, Any]:
    """Return the modules whose processor names a backend, by their paths."""
    return {
        path: module
        for path, module in model.named_modules()
        if hasattr(getattr(module, "processor", None), BACKEND)
    }


def _chosen(given: Programs, layers: Mapping[str, Any]) -> dict[str, str | Program]:
    """Return the program of each layer that gets one, by its path.

    Raises:
        ModelError: a pattern fits no layer, or one program is given for different attentions.

    """
    if not isinstance(given, Mapping):
        cross = [path for path, layer in layers.items() if getattr(layer, CROSS, False)]
        if cross and len(cross) < len(layers):
            raise _several(cross[0])
        given = {"*": given}
    for pattern in given:
        if not any(fnmatch(path, pattern) for path in layers):
            found = sorted({f"*.{path.rpartition('.')[2]}" for path in layers})
            help = did_you_mean(pattern, found) or f"there are {', '.join(found)}"
            raise ModelError("M906", f"no layer fits `{pattern}`", help=help)
    chosen = {}
    for path in layers:
        for pattern, text in given.items():
            if fnmatch(path, pattern):
                chosen[path] = text
                break
    return chosen


CROSS = "is_cross_attention"
"""What the attentions of some models say of themselves."""


def _several(where: str) -> ModelError:
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
            raise _several(f"a layer of {query.shape[1]} queries and {key.shape[1]} keys")
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


def _backend(text: str | Program, inputs: Mapping[str, Tensor], given: Programs) -> Any:
    """Register a program as a backend, and return its name."""
    program = text if isinstance(text, Program) else compile_mask(text)
    names = {declared.name for declared in program.inputs}
    if MASK in names:
        message = f"`{MASK}` is an input that the layers give themselves"
        raise ModelError("M906", message, help="rename the input of the program")
    read = {name: value for name, value in inputs.items() if name in names}
    name = _name(f"maskc_{next(_numbers)}")
    attached = _Attached(program, read, not isinstance(given, Mapping))
    _AttentionBackendRegistry.register(name.value)(attached.attend)
    finalize(name, _unregister, name.value)
    return name


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
