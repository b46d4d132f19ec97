"""The functions of an emitted file that its reader calls: what of them differs by program."""

from __future__ import annotations

from maskc.lower.codegen.tensors import LINE

_MEANING = {
    "same": "It is true where a query attends, and broadcasts to ``[B, H, Q, K]``.",
    "added": "It is added to the scaled scores, and broadcasts to ``[B, H, Q, K]``.",
    "changed": "Added to the scaled scores of q and k it gives the program's, ``[B, H, Q, K]``.",
}
_POLICIES = {"all": "_mask_all", "error": "_mask_error"}
_RESULTS = {
    "same": "mask",
    "added": "_added(mask, score_mod, q, k)",
    "changed": "_changed(mask, score_mod, q, k, scale)",
}


def flex_args(masks: bool, batch: bool, head: bool) -> str:
    """Return ``flex_args``; the block mask has a batch and heads where the mask depends on them."""
    sizes = f"{'q.shape[0]' if batch else None}, {'q.shape[1]' if head else None}"
    made = "create_block_mask(mask_mod, *sizes, device=q.device)" if masks else "None"
    lines = [
        "def flex_args(q: Tensor, k: Tensor, **inputs: Any) -> dict[str, Any]:",
        '    """Return the keywords for ``flex_attention``; ``mods`` tells the inputs."""',
        f"    {'mask_mod' if masks else '_'}, score_mod, _ = mods(q, k, **inputs)",
        *([f"    sizes = ({sizes}, q.shape[2], k.shape[2])"] if masks else []),
        "    return {",
        '        "score_mod": score_mod,',
        f'        "block_mask": {made},',
        '        "enable_gqa": q.shape[1] != k.shape[1],',
        "    }",
    ]
    return "\n".join(lines)


def attn_mask(masks: bool, score: str, policy: str) -> str:
    """Return ``attn_mask``.

    Args:
        masks: whether the program masks anything.
        score: ``same``, ``added`` or ``changed``.
        policy: for query rows without a key.

    """
    scale = ", *, scale: float | None = None" if score == "changed" else ""
    mask = f"{_POLICIES.get(policy, '_mask')}(mask_mod, q, k)" if masks else "None"
    lines = [
        f"def attn_mask(q: Tensor, k: Tensor{scale}, **inputs: Any) -> Tensor:",
        '    """Return the mask for ``scaled_dot_product_attention``; ``mods`` tells the inputs.',
        "",
        f"    {_MEANING[score]}",
        '    """',
        f"    {'mask_mod' if masks else '_'}, {'score_mod' if score != 'same' else '_'}, _ = "
        "mods(q, k, **inputs)",
    ]
    if score == "same":
        return "\n".join([*lines, f"    return {mask}"])
    return "\n".join([*lines, f"    mask = {mask}", f"    return {_RESULTS[score]}"])


def attention(mask: str, ends: bool, lse: bool, nan: bool, takes: bool) -> str:
    """Return ``attention``.

    Args:
        mask: ``none``, ``causal``, ``same``, ``added`` or ``changed``.
        ends: whether the program has an epilogue.
        lse: whether the epilogue reads the log-sum-exp.
        nan: whether a query row without a key gives NaN.
        takes: whether the program declares inputs.

    """
    has_mask = mask != "none"
    reads = has_mask or ends or takes
    given = "q, k, scale=scale, **inputs" if mask == "changed" else "q, k, **inputs"
    masked = ["attn_mask=mask"]
    options = {"none": [], "causal": [*masked, "is_causal=mask is None"]}.get(mask, masked)
    signature = "q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None"
    sdpa = ", ".join(["q, k, v", *options, "scale=scale", "enable_gqa=grouped"])
    lines = [
        *_wrapped("def attention(", signature + ", **inputs: Any" * reads, ") -> Tensor:"),
        '    """Attend.',
        "",
        "    Args:",
        "        q: queries ``[B, H, Q, D]``.",
        "        k: keys ``[B, Hkv, K, D]``.",
        "        v: values ``[B, Hkv, K, Dv]``.",
        "        scale: factor of the scores, ``1 / sqrt(D)`` if None.",
        *(["        **inputs: those of ``mods``."] if reads else []),
        "",
        '    """',
        *_mask_of(mask, f"attn_mask({given})"),
        *([f"    {x} = _unseen_as_zero(mask, q, {x})" for x in "kv"] if has_mask else []),
        "    grouped = q.shape[1] != k.shape[1]",
        *_wrapped("    out = F.scaled_dot_product_attention(", sdpa, "    )"),
    ]
    if ends:
        rows = f"_log_sum_exp(q, k, scale, {'mask' if has_mask else None})"
        lines.append("    _, _, out_mod = mods(q, k, **inputs)")
        lines.append(f"    out = _ended(out_mod, out, {rows if lse else None}, q, k)")
    if nan:
        lines.append("    out = _nan_without_keys(out, mask)")
    return "\n".join([*lines, "    return out"])


def _mask_of(mask: str, made: str) -> list[str]:
    """Return the lines that make the mask of SDPA, as ``attention`` needs it."""
    match mask:
        case "none":
            return []
        case "causal":
            return [
                "    # With a scale of 0 or less, `is_causal` gives NaN.",
                f"    mask = None if scale is None or scale > 0 else {made}",
            ]
        case _:
            return [f"    mask = {made}"]


def _wrapped(start: str, content: str, end: str) -> list[str]:
    """Return a bracket in one line, or its content on a line of its own where that is too long."""
    line = f"{start}{content}{end.lstrip()}"
    indent = " " * (len(start) - len(start.lstrip()))
    return [line] if len(line) <= LINE else [start, f"{indent}    {content}", end]
