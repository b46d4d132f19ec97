"""The parts of an emitted file that are the same for all programs, and their variants."""

from __future__ import annotations

from maskc.lower.codegen.tensors import LINE

FITTED = '''
def _fitted(
    name: str, value: Any, sizes: tuple[int, ...], q: Tensor, *, batch: bool = True
) -> Tensor:
    """Return an input with the batch in front; dimensions of size 1 are repeated for nothing."""
    found = torch.as_tensor(value, device=q.device)
    if batch and found.dim() == len(sizes) - 1:
        found = found.unsqueeze(0)
    shape = list(found.shape)
    fits = len(shape) == len(sizes)
    if not fits or any(has not in (1, n) and has < n for has, n in zip(shape, sizes, strict=True)):
        raise ValueError(f"input {name} has shape {shape}, expected at least {list(sizes)}")
    return found.expand([max(pair) for pair in zip(shape, sizes, strict=True)])
'''

INDICES = '''
def _indices(q: Tensor, k: Tensor) -> list[Tensor]:
    """Return batch, head, query row and key row, which broadcast to ``[B, H, Q, K]``."""
    sizes = [*q.shape[:3], k.shape[2]]
    shapes = [[-1 if own == dim else 1 for own in range(4)] for dim in range(4)]
    return [
        torch.arange(size, device=q.device).view(shape)
        for size, shape in zip(sizes, shapes, strict=True)
    ]
'''

SCALED = '''
def _scaled(q: Tensor, k: Tensor, scale: float | None) -> Tensor:
    """Return the scaled scores ``[B, H, Q, K]``."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return (q * scale) @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).transpose(-1, -2)
'''

LOG_SUM_EXP = '''
def _log_sum_exp(q: Tensor, k: Tensor, scale: float | None, mask: Tensor | None) -> Tensor:
    """Return the natural log-sum-exp of each row, ``[B, H, Q, 1]``; -inf for one without a key."""
    scores = _scaled(q, k, scale).float()
    if mask is not None and mask.dtype is torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    elif mask is not None:
        scores = scores + mask
    dead = scores.amax(dim=-1, keepdim=True) == float("-inf")
    lse = scores.masked_fill(dead, 0.0).logsumexp(dim=-1, keepdim=True)
    return lse.masked_fill(dead, float("-inf"))
'''

_FLEX = '''
def flex_args(q: Tensor, k: Tensor, **inputs: Any) -> dict[str, Any]:
    """Return the keywords for ``flex_attention(q, k, v, ...)``; ``mods`` tells the inputs."""
    mask_mod, score_mod, _ = mods(q, k, **inputs)
    {block_mask}
    return {{
        "score_mod": score_mod,
        "block_mask": block_mask,
        "enable_gqa": q.shape[1] != k.shape[1],
    }}
'''


def flex_args(masks: bool, batch: bool, head: bool) -> str:
    """Return ``flex_args``; the block mask has a batch and heads where the mask depends on them."""
    sizes = f"({'q.shape[0]' if batch else None}, {'q.shape[1]' if head else None}"
    lines = [f"sizes = {sizes}, q.shape[2], k.shape[2])"] if masks else []
    made = "create_block_mask(mask_mod, *sizes, device=q.device)" if masks else "None"
    text = _FLEX if masks else _FLEX.replace("mask_mod, score_mod, _", "_, score_mod, _")
    return text.format(block_mask="\n    ".join([*lines, f"block_mask = {made}"]))


def attn_mask(masks: bool, score: str, policy: str) -> str:
    """Return ``attn_mask``.

    Args:
        masks: whether the program masks anything.
        score: ``same``, ``added`` or ``changed``.
        policy: for query rows without a key.

    """
    scale = ", *, scale: float | None = None" if score == "changed" else ""
    lines = [
        f"def attn_mask(q: Tensor, k: Tensor{scale}, **inputs: Any) -> Tensor:",
        '    """Return the mask for ``scaled_dot_product_attention``; ``mods`` tells the inputs.',
        "",
        f"    {_MEANING[score]}",
        '    """',
        f"    {'mask_mod' if masks else '_'}, {'score_mod' if score != 'same' else '_'}, _ = "
        "mods(q, k, **inputs)",
        "    indices = _indices(q, k)",
        *([f"    {line}" for line in _mask(policy)] if masks else []),
        *(f"    {line}" for line in _values(masks, score)),
    ]
    return "\n".join(lines)


_MEANING = {
    "same": "It is true where a query attends, and broadcasts to ``[B, H, Q, K]``.",
    "added": "It is added to the scaled scores, and broadcasts to ``[B, H, Q, K]``.",
    "changed": "Added to the scaled scores of q and k it gives the program's, ``[B, H, Q, K]``.",
}


def _mask(policy: str) -> list[str]:
    lines = ["mask = mask_mod(*indices)", "mask = mask.view((1,) * (4 - mask.dim()) + mask.shape)"]
    match policy:
        case "all":
            lines.append("mask = mask | ~mask.any(dim=-1, keepdim=True)")
        case "error":
            lines.append("if not bool(mask.any(dim=-1).all()):")
            lines.append('    raise ValueError("a query row has no key")')
    return lines


def _values(masks: bool, score: str) -> list[str]:
    match score:
        case "same":
            return ["return mask"]
        case "added":
            lines = ["score = score_mod(q.new_zeros(()), *indices).to(q.dtype)"]
            lines.append("score = score.view((1,) * (4 - score.dim()) + score.shape)")
            result = "score"
        case _:
            safe = "scores.masked_fill(~mask, 0.0)" if masks else "scores"
            lines = ["scores = _scaled(q, k, scale)", f"score = score_mod({safe}, *indices)"]
            result = "(score - scores).to(q.dtype)"
    masked = f'torch.where(mask, {result}, float("-inf"))' if masks else result
    return [*lines, f"return {masked.strip('()') if masked == f'({result})' else masked}"]


def attention(mask: str, ends: bool, lse: bool, nan: bool) -> str:
    """Return ``attention``.

    Args:
        mask: ``none``, ``causal``, ``same``, ``added`` or ``changed``.
        ends: whether the program has an epilogue.
        lse: whether the epilogue reads the log-sum-exp.
        nan: whether a query row without a key gives NaN.

    """
    read = mask not in ("none", "causal") or ends
    given = "q, k, scale=scale, **inputs" if mask == "changed" else "q, k, **inputs"
    options = {"none": [], "causal": ["is_causal=True"]}.get(mask, ["attn_mask=mask"])
    signature = "q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None"
    sdpa = ", ".join(["q, k, v", *options, "scale=scale", "enable_gqa=grouped"])
    lines = [
        *_wrapped("def attention(", signature + ", **inputs: Any" * read, ") -> Tensor:"),
        '    """Attend.',
        "",
        "    Args:",
        "        q: queries ``[B, H, Q, D]``.",
        "        k: keys ``[B, Hkv, K, D]``.",
        "        v: values ``[B, Hkv, K, Dv]``.",
        "        scale: factor of the scores, ``1 / sqrt(D)`` if None.",
        *(["        **inputs: those of ``mods``."] if read else []),
        "",
        '    """',
        *([f"    mask = attn_mask({given})"] if mask not in ("none", "causal") else []),
        "    grouped = q.shape[1] != k.shape[1]",
        *_wrapped("    out = F.scaled_dot_product_attention(", sdpa, "    )"),
    ]
    if ends:
        lines.append("    _, _, out_mod = mods(q, k, **inputs)")
        rows = {"none": "None", "causal": "_causal(q, k)"}.get(mask, "mask")
        log = f"_log_sum_exp(q, k, scale, {rows})" if lse else "None"
        lines.append(f"    lse = {log}")
        lines.append("    out = out_mod(out, lse, *_indices(q, k)).to(q.dtype).expand_as(out)")
    if nan:
        alive = "mask" if mask == "same" else "~mask.isneginf()"
        lines.append(f"    alive = ({alive}).any(dim=-1, keepdim=True)".replace("(mask)", "mask"))
        lines.append('    out = out.masked_fill(~alive, float("nan"))')
    return "\n".join([*lines, "    return out"])


def _wrapped(start: str, content: str, end: str) -> list[str]:
    """Return a bracket in one line, or its content on a line of its own where that is too long."""
    line = f"{start}{content}{end.lstrip()}"
    indent = " " * (len(start) - len(start.lstrip()))
    return [line] if len(line) <= LINE else [start, f"{indent}    {content}", end]
