"""What the layers of a forward share: sizes, positions, padding, documents, and the bindings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.utils._pytree import tree_map_only

from maskc.integrations.transformers.forward.derive import Derived
from maskc.program import compile_mask

IS_TOKEN = "input attention_mask: bool\nattention_mask[k]"


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
        dtype: of the mask of floats that it stands for.
        place: the device of that mask.
        is_prepared: whether the caller made the mask, which then holds besides any program.
        bindings: what layers have bound.

    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        offsets: tuple[Any, Any],
        own: Derived | None,
        attention_mask: Tensor | None = None,
        was_told: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        is_prepared: bool = False,
    ) -> None:
        self.sizes = sizes
        self.offsets = offsets
        self.own = own
        self.attention_mask = attention_mask
        self.was_told = was_told
        self.dtype = dtype
        self.place = device
        self.is_prepared = is_prepared
        self.bindings: list[Any] = []
        self._dense: Tensor | None = None

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

    def dense(self) -> Tensor:
        """Return the mask as eager attention has it, for code of a model that works on its mask.

        Returns:
            Floats to be added, 0 or the least of ``dtype``, ``[batch, 1, queries, keys]``.

        """
        if self._dense is None:
            assert self.own is not None
            program = compile_mask(self.own.text)
            inputs: dict[str, Any] = dict(self.own.inputs)
            if self.attention_mask is not None:
                program = program.masked_by(IS_TOKEN)
                inputs["attention_mask"] = self.attention_mask
            batch, q_len, kv_len = self.sizes
            bound = program.bind(
                q_len=q_len,
                kv_len=kv_len,
                batch_size=batch,
                q_offset=self.offsets[0],
                kv_offset=self.offsets[1],
                device=self.place,
                **inputs,
            )
            mask = bound.attn_mask()
            floats = torch.zeros(self.shape, dtype=self.dtype, device=self.place)
            least = torch.finfo(self.dtype).min
            self._dense = floats if mask is None else floats.masked_fill(~mask, least)
        return self._dense

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the mask of floats."""
        return self.dense()[index]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch with masks of floats in the place of contexts."""
        replaced = tree_map_only(Context, Context.dense, (args, kwargs or {}))
        return func(*replaced[0], **replaced[1])

    def __repr__(self) -> str:
        own = "prepared" if self.own is None else "; ".join(self.own.text.splitlines())
        return f"<maskc context {list(self.shape)}: {own}>"
