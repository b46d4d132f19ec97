"""A small decoder whose attention is one line of its config file.

``Decoder.bind`` turns that line into masks once a step; ``forward`` hands them to the layers. The
same code trains, shards over ranks and decodes from a cache: what changes is how it binds.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maskc


@dataclass(frozen=True)
class Config:
    """A model: its sizes, its mask as text, and what runs its attention."""

    mask: str
    vocab: int = 64
    width: int = 64
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    attention_impl: str = "sdpa"

    @classmethod
    def read(cls, path: Path) -> "Config":
        """Return the config of a TOML file's ``[model]``."""
        return cls(**tomllib.loads(path.read_text())["model"])


class Cache:
    """Keys and values of one layer, in buffers of the longest sequence."""

    def __init__(self, batch: int, kv_heads: int, length: int, head_width: int) -> None:
        self.k, self.v = torch.zeros(2, batch, kv_heads, length, head_width)

    def extend(self, k: Tensor, v: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        """Write the keys and values of the tokens from ``offset`` on, and return all of them.

        What was not written yet is masked, for a causal mask knows where each query stands.
        """
        self.k[:, :, offset : offset + k.shape[2]] = k
        self.v[:, :, offset : offset + v.shape[2]] = v
        return self.k, self.v


class Attention(nn.Module):
    """Grouped-query attention with rotary positions; masks and scores are the program's."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_width = config.width // config.heads
        self.backend = config.attention_impl
        self.to_q = nn.Linear(config.width, config.heads * self.head_width, bias=False)
        self.to_k = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.to_v = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.out = nn.Linear(config.heads * self.head_width, config.width, bias=False)

    def forward(
        self, x: Tensor, bound: maskc.Bound, offset: int = 0, cache: Cache | None = None
    ) -> Tensor:
        """Attend from the tokens of ``x`` [B, S, width], the first of them at ``offset``."""
        q, k, v = (self._heads(to(x)) for to in (self.to_q, self.to_k, self.to_v))
        at = torch.arange(offset, offset + x.shape[1], device=x.device)
        q, k = rotated(q, at), rotated(k, at)
        if cache is not None:
            k, v = cache.extend(k, v, offset)
        out = bound(q, k, v, backend=self.backend)
        return self.out(out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        """Return ``[B, heads, S, head width]``; under tensor parallelism the heads of this rank."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2).contiguous()


class Layer(nn.Module):
    """Attention and a small network, each added to what it reads."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.up = nn.Linear(config.width, 4 * config.width, bias=False)
        self.down = nn.Linear(4 * config.width, config.width, bias=False)

    def forward(self, x: Tensor, *call: Any) -> Tensor:
        """Return ``[B, S, width]``; ``call`` is what the attention takes beside the tokens."""
        x = x + self.attention(F.rms_norm(x, x.shape[-1:]), *call)
        return x + self.down(F.gelu(self.up(F.rms_norm(x, x.shape[-1:]))))


class Decoder(nn.Module):
    """A language model.

    Attributes:
        programs: the program of each layer; layers that mean the same share one.

    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        program = maskc.compile_mask(config.mask)
        self.programs = [program.for_layer(layer) for layer in range(config.layers)]
        self.embed = nn.Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, config.vocab, bias=False)

    def bind(
        self, q_len: int, batch_size: int = 1, ranks: int = 1, rank: int = 0, **inputs: Any
    ) -> list[maskc.Bound]:
        """Bind the program of every layer to the tensors of a step.

        Args:
            q_len: tokens of a row.
            batch_size: rows.
            ranks: over how many processes the heads are split.
            rank: which of them this is.
            **inputs: the program's inputs, such as ``doc``, and ``kv_len`` and ``q_offset``.

        """
        heads = self.config.heads // ranks
        sizes = {"num_heads": heads, "num_kv_heads": self.config.kv_heads // ranks}
        offset = {"head_offset": rank * heads} if ranks > 1 else {}
        call = {"q_len": q_len, "batch_size": batch_size, **sizes, **offset, **inputs}
        bounds = {program: program.bind(**call) for program in dict.fromkeys(self.programs)}
        if self.config.attention_impl == "flex":
            for bound in bounds.values():
                _ = bound.block_mask  # built here for all layers, not in the graph of each
        if self.config.attention_impl == "banded":
            for bound in bounds.values():
                bound.bands()  # a graph takes them as constants
        return [bounds[program] for program in self.programs]

    def forward(
        self,
        tokens: Tensor,
        bounds: list[maskc.Bound],
        offset: int = 0,
        caches: list[Cache] | None = None,
    ) -> Tensor:
        """Return logits ``[B, S, vocab]`` of ``tokens`` [B, S], the first of them at ``offset``."""
        x = self.embed(tokens)
        for place, (layer, bound) in enumerate(zip(self.layers, bounds, strict=True)):
            x = layer(x, bound, offset, None if caches is None else caches[place])
        return self.head(F.rms_norm(x, x.shape[-1:]))

    @torch.no_grad()
    def decode(self, tokens: Tensor, chunks: list[int], **inputs: Any) -> Tensor:
        """Return the logits of ``tokens`` [B, S], read ``chunks`` tokens at a time from a cache.

        A prompt in a few chunks and then ones is chunked prefill and decoding. The length of the
        cache never changes, so that nothing compiles anew for a token.
        """
        config, (batch, length) = self.config, tokens.shape
        caches = [
            Cache(batch, config.kv_heads, length, config.width // config.heads) for _ in self.layers
        ]
        logits, offset = [], 0
        for size in chunks:
            bounds = self.bind(size, batch, kv_len=length, q_offset=offset, **inputs)
            logits.append(self(tokens[:, offset : offset + size], bounds, offset, caches))
            offset += size
        return torch.cat(logits, dim=1)


def rotated(x: Tensor, at: Tensor) -> Tensor:
    """Return ``[B, heads, S, D]``, rotated by the positions ``at`` [S] (arXiv:2104.09864)."""
    half = x.shape[-1] // 2
    speed = 10000.0 ** -(torch.arange(half, device=x.device) / half)
    angle = at[:, None] * speed
    left, right = x.float().chunk(2, dim=-1)
    turned = (left * angle.cos() - right * angle.sin(), left * angle.sin() + right * angle.cos())
    return torch.cat(turned, dim=-1).to(x.dtype)


def next_token_loss(logits: Tensor, tokens: Tensor, doc: Tensor) -> Tensor:
    """Return the mean loss of every token that has a next one in its document."""
    last = doc[:, 1:] != doc[:, :-1]
    targets = tokens[:, 1:].masked_fill(last, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets.flatten())


def compiled(model: Decoder, **how: Any) -> Decoder:
    """Compile each layer as one graph; the masks are its arguments, so they compile nothing."""
    for place, layer in enumerate(model.layers):
        model.layers[place] = torch.compile(layer, fullgraph=True, **how)
    return model


def loss_of(model: nn.Module, tokens: Tensor, doc: Tensor) -> Tensor:
    """Return the loss of a batch; the masks of all layers are bound here, once."""
    bounds = model.bind(tokens.shape[1], tokens.shape[0], doc=doc)
    return next_token_loss(model(tokens, bounds), tokens, doc)
