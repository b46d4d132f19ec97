"""What each law does, in a line: the text that ``explain`` shows beside its name."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "fold_constants": "an operator on constants becomes its value",
    "drop_conversions": "`float(x)` of a float, `-(-x)`, `x * 1` and `x - 0.0` become `x`",
    "widen_ints": "`score * 2` and `score * 2.0` are one program",
    "choose": "`where(true, a, b)` is `a`; `where(c, a, a)` is `a`; of booleans it is and, or",
    "normalize_sums": "`k + 511 - k + q` becomes `q + 511`; `(x // n) * n + x % n` is `x`",
    "divide": "floor division and modulo: `(64 * q + k) // 64` is `q + k // 64`",
    "drop_bounds": "`max(q, 0)` is `q`; `abs` of what is never negative is itself",
    "normalize_comparisons": "comparisons of ints in one form: `q + 1 > k` becomes `k <= q`",
    "equate": "equality of booleans: `a == true` is `a`; `!a == b` is `a ^ b`",
    "unfold": "`abs`, `min`, `max` and `//` in a bound: `abs(x) < n` is `-n < x & x < n`",
    "negate": "`!` moves inwards until it stands before an input or a float comparison",
    "flatten": "`(a & b) & c` becomes `a & b & c`; `true` and `false` are absorbed",
    "dedupe": "`a & b & a` becomes `a & b`; the first of equal operands stays",
    "complement": "`a & !a` becomes `false`; `a | !a` becomes `true`",
    "absorb": "`a & (a | b)` becomes `a`; `a | (a & b)` becomes `a`",
    "drop_selected": "keys that `topk` picks lie in its own `where`; of no key it picks none",
    "constrain": "`causal & window(512) & window(256)` becomes `0 <= q - k < 256`",
    "unite": "`0 <= x < 4 | 2 <= x < 9` becomes `0 <= x < 9`",
    "arrange": "operands of `&`, `|` and `^` in one order, cheap tests of positions first",
    "assume": "`a` within `b` of `a & b` is `true`; where `k <= q`, `abs(q - k)` is `q - k`",
    "mask_infinities": "`where(cond, score, -inf)` becomes the mask `cond` and the score `score`",
    "mask_infinities_at_every_pair": "likewise; rows without keys attend with that score",
    "assume_mask": "under `causal`, `score - abs(q - k)` becomes `score - (q - k)`",
    "collect_score": "`(score + a) * c - score * b` becomes `score * (c - b) + a * c`",
    "pair_bounds": "beside `q - k < 256`, `k <= q` is written `0 <= q - k`",
}
