"""Types, dimensions, indices and sizes: what the nodes speak of."""

from __future__ import annotations

from enum import Enum, Flag, auto


class Word(Enum):
    """An enum whose members hash as objects do.

    They are keys of what is looked up at each call, and the hash of ``Enum`` is a call of Python.
    """

    __hash__ = object.__hash__


class Type(Word):
    """What a value is; the name is the language's."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"

    @property
    def article(self) -> str:
        """The type with its article, for messages."""
        return {"bool": "a bool", "int": "an int", "float": "a float"}[self.value]


def wider(types: list[Type]) -> Type:
    """Return the numeric type that holds all of ``types``: int widens to float."""
    return Type.FLOAT if Type.FLOAT in types else Type.INT


class Dim(Flag):
    """The dimensions of the attention matrix that a value depends on."""

    NONE = 0
    BATCH = auto()
    HEAD = auto()
    Q = auto()
    K = auto()
    ALL = BATCH | HEAD | Q | K
    ROW = BATCH | HEAD | Q


class Ix(Word):
    """Indices: ``q`` and ``k`` are logical positions, ``q_idx`` and ``kv_idx`` rows of tensors."""

    BATCH = "batch"
    HEAD = "head"
    KV_HEAD = "kv_head"
    Q = "q"
    K = "k"
    Q_IDX = "q_idx"
    KV_IDX = "kv_idx"

    @property
    def dim(self) -> Dim:
        """The dimension that this index runs along."""
        match self:
            case Ix.BATCH:
                return Dim.BATCH
            case Ix.HEAD | Ix.KV_HEAD:
                return Dim.HEAD
            case Ix.Q | Ix.Q_IDX:
                return Dim.Q
            case Ix.K | Ix.KV_IDX:
                return Dim.K


class Sz(Word):
    """Sizes of the call."""

    BATCH_SIZE = "batch_size"
    NUM_HEADS = "num_heads"
    NUM_KV_HEADS = "num_kv_heads"
    Q_LEN = "q_len"
    KV_LEN = "kv_len"


class Given(Word):
    """What the kernel hands over: the running score, or the output and its log-sum-exp."""

    SCORE = "score"
    OUT = "out"
    LSE = "lse"
