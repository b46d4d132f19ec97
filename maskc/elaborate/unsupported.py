"""What a program cannot say, by the names under which people look for it.

A score is a function of one query and one key, and a softmax over the keys follows. Each reason
names what breaks that frame, and the way to get the effect where there is one.
"""

from __future__ import annotations

_REASONS = {
    "stick_breaking sb_attention": (
        "stick-breaking attention (arXiv:2410.17980) weighs a key by what the keys between leave "
        "over, and a score knows one key at a time"
    ),
    "cope contextual_position contextual_position_encoding": (
        "CoPE (arXiv:2405.18719) counts the gates of the keys between query and key, and a score "
        "knows one key at a time"
    ),
    "selective_attention": (
        "selective attention (arXiv:2410.02703) hides keys by the scores of earlier queries, and "
        "a score knows one query at a time"
    ),
    "talking_heads mix_heads": (
        "talking heads (arXiv:2003.02436) mix the scores of all heads, and a score knows one head "
        "at a time; no fused kernel can"
    ),
    "multi_token_attention conv convolution": (
        "a convolution of scores (arXiv:2504.00927) mixes those of neighbouring keys, and a score "
        "knows one key at a time"
    ),
    "entmax entmax15 alpha_entmax sparsemax softpick hardmax": (
        "entmax (arXiv:1905.05702) and its kin replace the softmax, and a program changes what "
        "goes into it; `topk(x, n)` keeps the n best keys"
    ),
    "differential diff_attention": (
        "differential attention (arXiv:2410.05258) subtracts two softmaxes: call the program twice"
    ),
    "linear_attention performer retention delta_rule": (
        "linear attention has no softmax of q and k to change"
    ),
    "dropout dropout_p attention_dropout": (
        'dropout is not part of a program: `bound(q, k, v, dropout_p=0.1, backend="sdpa")`; '
        "FlexAttention has none"
    ),
    "rand random randn randint bernoulli gumbel": (
        "a program is the same in every call: draw the numbers yourself and bind them as an `input`"
    ),
    "rope rotary apply_rotary xpos yarn": (
        "rotary positions turn q and k before they meet: do it before the call"
    ),
    "sum mean prod cumsum cumprod sort argsort argmax": (
        "it needs all keys at once, and a score knows one: compute it before the call and bind it "
        "as an `input`"
    ),
    "range loop scan fold reduce unroll": (
        "the language has no loops: write the cases out, or bind a table as an `input`"
    ),
    "query key v dot matmul einsum": (
        "q and k are positions here, and `score` is what their vectors gave; bind other "
        "projections of q as an `input`, as `shaw` does"
    ),
}


def reason(name: str) -> str | None:
    """Return why a program cannot say ``name``, or None where nothing is known about it."""
    return _BY_NAME.get(_key(name))


def reasons() -> tuple[str, ...]:
    """Return every reason, in the order of the table."""
    return tuple(_REASONS.values())


def _key(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("attention")


_BY_NAME = {_key(name): why for names, why in _REASONS.items() for name in names.split()}
