"""What a program cannot say, by the names under which people look for it.

A score is a function of one query and one key, and a softmax over the keys follows. Each reason
names what breaks that frame, and the way to get the effect where there is one.
"""

from __future__ import annotations

_ONE_KEY = "and a score knows one key at a time"

_REASONS = {
    "stick-breaking attention (arXiv:2410.17980) weighs a key by what the keys between leave over, "
    f"{_ONE_KEY}": ["stick_breaking", "stickbreaking", "sb_attention"],
    f"CoPE (arXiv:2405.18719) counts the gates of the keys between query and key, {_ONE_KEY}": [
        "cope",
        "contextual_position",
        "contextual_position_encoding",
    ],
    "selective attention (arXiv:2410.02703) hides keys by the scores of earlier queries, "
    "and a score knows one query at a time": ["selective_attention"],
    "talking heads (arXiv:2003.02436) mix the scores of all heads, and a score knows one head at a "
    "time; no fused kernel can": ["talking_heads", "mix_heads"],
    f"a convolution of scores (arXiv:2504.00927) mixes those of neighbouring keys, {_ONE_KEY}": [
        "multi_token_attention",
        "conv",
        "convolution",
    ],
    "entmax (arXiv:1905.05702) and its kin replace the softmax, and a program changes what goes "
    "into it; `topk(x, n)` keeps the n best keys": [
        *("entmax", "entmax15", "alpha_entmax", "sparsemax", "softpick", "hardmax"),
    ],
    "differential attention (arXiv:2410.05258) subtracts two softmaxes: call the program twice": [
        *("differential", "diff_attention", "differential_attention"),
    ],
    "linear attention has no softmax of q and k to change": [
        *("linear_attention", "performer", "retention", "delta_rule"),
    ],
    "dropout is not part of a program: `bound(q, k, v, dropout_p=0.1, backend='sdpa')`; "
    "FlexAttention has none": ["dropout", "dropout_p", "attention_dropout"],
    "a program is the same in every call: draw the numbers yourself and bind them as an `input`": [
        *("rand", "random", "randn", "randint", "bernoulli", "gumbel"),
    ],
    "rotary positions turn q and k before they meet: do it before the call": [
        *("rope", "rotary", "apply_rotary", "xpos", "yarn"),
    ],
    "it needs all keys at once, and a score knows one: compute it before the call and bind it as "
    "an `input`": [
        *("sum", "mean", "prod", "cumsum", "cumprod", "sort", "argsort", "argmax"),
    ],
    "the language has no loops: write the cases out, or bind a table as an `input`": [
        *("range", "for", "loop", "scan", "fold", "reduce", "unroll"),
    ],
    "q and k are positions here, and `score` is what their vectors gave; bind other projections of "
    "q as an `input`, as `shaw` does": ["query", "key", "v", "dot", "matmul", "einsum"],
}


def _key(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("attention")


_BY_NAME = {_key(name): reason for reason, names in _REASONS.items() for name in names}


def reason(name: str) -> str | None:
    """Return why a program cannot say ``name``, or None where nothing is known about it."""
    return _BY_NAME.get(_key(name))
