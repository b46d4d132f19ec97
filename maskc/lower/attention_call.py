"""What a backend is given besides the plan: the tensors and options of one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from maskc.analysis.bands import Parts
from maskc.errors import LoweringError
from maskc.source import Span


class Blocks(Protocol):
    """The tiles of a bound mask, worked out when a backend first asks for them."""

    @property
    def block_mask(self) -> BlockMask | None:
        """The block mask; None where nothing is masked."""

    @property
    def serves_backward(self) -> bool:
        """Whether the block mask has the tables that a backward pass reads."""

    @property
    def common_keys(self) -> range | None:
        """The keys of the one query of a decode step, where they stand side by side.

        None: they do not, or to find out would cost more than a mask does.
        """

    @property
    def has_key_ranges(self) -> bool:
        """Whether comparisons of ids became ranges of keys."""

    def bands(self, long: bool) -> Parts:
        """Return the bands of query rows; in a trace, those that were made before."""

    def has_lasting_bands(self, long: bool) -> bool:
        """Tell whether the bands are made, and are those of every binding of these sizes."""


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """One call of attention.

    Attributes:
        q: queries ``[B, H, Q, D]``.
        k: keys ``[B, Hkv, K, D]``.
        v: values ``[B, Hkv, K, Dv]``.
        blocks: where the block mask comes from.
        scale: factor of ``q @ k^T``, ``1 / sqrt(D)`` if None.
        dropout_p: probability that a weight is dropped.
        needs_lse: whether the caller wants the log-sum-exp.

    """

    q: Tensor
    k: Tensor
    v: Tensor
    blocks: Blocks
    scale: float | None = None
    dropout_p: float = 0.0
    needs_lse: bool = False

    @property
    def qkv(self) -> tuple[Tensor, Tensor, Tensor]:
        """The tensors."""
        return self.q, self.k, self.v


class Attended(NamedTuple):
    """What a backend returns.

    Attributes:
        out: ``[B, H, Q, Dv]``, after the program's epilogue.
        lse: natural log-sum-exp ``[B, H, Q]``; may be None where nobody asked for it.

    """

    out: Tensor
    lse: Tensor | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a backend cannot run a call, and what can."""

    code: str
    message: str
    help: str
    span: Span | None = None

    def error(self) -> LoweringError:
        """Return the refusal as an error, for a backend that the caller chose."""
        return LoweringError(self.code, self.message, self.span, self.help)


def no_dropout(backend: str, call: AttentionCall) -> Refusal | None:
    """Return the refusal of dropout by a backend that has none, or None where none is asked for."""
    if not call.dropout_p:
        return None
    message = f"{backend} has no dropout, found dropout_p={call.dropout_p}"
    return Refusal("M506", message, 'use backend="banded" or "sdpa"')
