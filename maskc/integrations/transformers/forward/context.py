"""What the layers of a forward share: sizes, positions, padding, documents, and the bindings."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.integrations.transformers.forward.derive import Derived


class Context(BlockMask):
    """Stands for the mask between transformers' mask maker and the attention of the layers.

    It passes for a prepared mask (a block mask of four dimensions), since models hand one on as it
    is. It holds no tiles: a layer binds its program here, and the layers after it find it bound.

    Attributes:
        sizes: batches, queries and keys.
        offsets: the positions of query row 0 and of key row 0, in slots of the sequence or cache.
        own: the model's own mask.
        attention_mask: which slots hold tokens, bool ``[batch, slots]``; None where all do.
        was_told: whether the mask maker knew padding or positions, and so packed documents.
        bindings: what layers have bound.

    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        offsets: tuple[Any, Any],
        own: Derived | None,
        attention_mask: Tensor | None = None,
        was_told: bool = False,
    ) -> None:
        self.sizes = sizes
        self.offsets = offsets
        self.own = own
        self.attention_mask = attention_mask
        self.was_told = was_told
        self.bindings: list[Any] = []

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the mask that it stands for, ``[batch, 1, queries, keys]``."""
        return (self.sizes[0], 1, self.sizes[1], self.sizes[2])

    @property
    def ndim(self) -> int:
        """The dimensions of that mask."""
        return 4

    def dim(self) -> int:
        """Return the dimensions of that mask."""
        return 4

    def contiguous(self) -> Context:
        """Return itself."""
        return self

    def to(self, *_: Any, **__: Any) -> Context:
        """Return itself: its tensors are where the model's are."""
        return self

    def __repr__(self) -> str:
        own = "prepared" if self.own is None else "; ".join(self.own.text.splitlines())
        return f"<maskc context {list(self.shape)}: {own}>"
