"""Dense masks kept for the next layer: the layers of a model share a binding, and so its masks.

A mask is built again as soon as it could differ: when a tensor that it reads was changed in place
(``Tensor._version`` counts that), when the mask itself was, or under another mode of torch. What a
gradient may flow to, and what is given to the call instead of the binding, is never kept. torch
does not count what is written through ``.data`` or numpy: bind again after that.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

State = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    key: Hashable
    state: State
    value: Tensor
    version: int

    def holds(self, key: Hashable, state: State) -> bool:
        """Tell whether the value would be made again as it is."""
        return (self.key, self.state, self.version) == (key, state, self.value._version)


@dataclass(slots=True, eq=False)
class TensorCache:
    """At most one tensor of each name, for as long as this lives.

    Attributes:
        tensors: those of the binding; what reads others is not kept.

    """

    tensors: tuple[Tensor, ...] = ()
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _inner: dict[str, tuple[Hashable, TensorCache]] = field(default_factory=dict)

    def inner(self, name: str, key: Hashable) -> TensorCache:
        """Return a cache within this one; a name that comes with another key starts anew."""
        known = self._inner.get(name)
        if known is None or known[0] != key:
            known = self._inner[name] = key, TensorCache(self.tensors)
        return known[1]

    def get(
        self, name: str, key: Hashable, read: Sequence[Tensor], make: Callable[[], Tensor]
    ) -> Tensor:
        """Return what ``make`` makes of the tensors ``read``, kept if that is the same.

        Args:
            name: under which it is kept.
            key: what else it depends on.
            read: the tensors that it is made of.
            make: makes it.

        """
        if not self._lasts(read):
            return make()
        state = _state(read)
        entry = self._entries.get(name)
        if entry and entry.holds(key, state):
            return entry.value
        value = make()
        if type(value) is torch.Tensor and not (value.requires_grad or value.is_inference()):
            self._entries[name] = _Entry(key, state, value, value._version)
        return value

    def _lasts(self, read: Sequence[Tensor]) -> bool:
        """Tell whether tensors are the binding's, and whether torch counts their changes."""
        initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        if initialized and torch.cuda.is_current_stream_capturing():
            return False  # a replay reads the tensors again
        known = {id(tensor) for tensor in self.tensors}
        return all(id(t) in known and not (t.requires_grad or t.is_inference()) for t in read)


def versions(tensors: Iterable[Tensor]) -> tuple[int, ...]:
    """Return how often tensors were changed in place; torch does not count it for inference's."""
    return tuple(0 if tensor.is_inference() else tensor._version for tensor in tensors)


def _state(read: Sequence[Tensor]) -> State:
    """Return the state that validates a cache entry."""
    modes: State = (torch.is_inference_mode_enabled(), torch.get_default_dtype())
    for kind in {tensor.device.type for tensor in read}:
        modes += (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
    return (*modes, *((id(tensor), tensor._version) for tensor in read))
