"""The one function of an emitted file that knows the program's inputs: ``mods``."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Mapping

from maskc.analysis.intervals.exact_floats import converted
from maskc.ir.nodes import OUT, SCORE, TRUE, Expr, Index, Input, Load, Module, inputs, walk
from maskc.ir.rows import Layout, Shape, to_rows
from maskc.ir.text import expr_text
from maskc.ir.types import Ix, Sz
from maskc.lower.codegen.tensors import LINE, Kind, arguments, definition, identifier, signature

SIZES = {
    Sz.BATCH_SIZE: "q.shape[0]",
    Sz.NUM_HEADS: "q.shape[1]",
    Sz.NUM_KV_HEADS: "k.shape[1]",
    Sz.Q_LEN: "q.shape[2]",
    Sz.KV_LEN: "k.shape[2]",
}
_EXTENTS = {
    Ix.BATCH: SIZES[Sz.BATCH_SIZE],
    Ix.HEAD: SIZES[Sz.NUM_HEADS],
    Ix.KV_HEAD: SIZES[Sz.NUM_KV_HEADS],
    Ix.Q: SIZES[Sz.Q_LEN],
    Ix.Q_IDX: SIZES[Sz.Q_LEN],
    Ix.K: SIZES[Sz.KV_LEN],
    Ix.KV_IDX: SIZES[Sz.KV_LEN],
}
_TAKEN = frozenset({"torch", "Tensor", "Any", "mask_mod", "score_mod", "out_mod"})
"""Names of the file that an input cannot have as a keyword."""


def rows_of(module: Module) -> Module:
    """Return a program over rows, the batch in front of its inputs."""
    loads = _loads(module)
    shapes = {
        source.name: Shape(not _has_batch(result[0]), (False,) * len(_sizes(result)))
        for source, result in loads.items()
    }
    return module.map(lambda expr: to_rows(expr, Layout(shapes=shapes)))


def changed(rows: Module) -> dict[Kind, Expr]:
    """Return what the program changes."""
    roots = {Kind.MASK: (rows.mask, TRUE), Kind.SCORE: (rows.score, SCORE)}
    roots[Kind.OUT] = (rows.out, OUT)
    return {kind: expr for kind, (expr, plain) in roots.items() if expr != plain}


def builders(rows: Module) -> list[str]:
    """Return the functions that build mask, score and epilogue over tensors."""
    return [
        "\n".join(definition(expr, kind, f"_build_{kind.name.lower()}_mod"))
        for kind, expr in changed(rows).items()
    ]


def mods(module: Module, rows: Module, docs: Mapping[str, str]) -> str:
    """Return the function from q, k and the inputs to the program's functions.

    Args:
        module: the program.
        rows: the program over rows.
        docs: what each declared input is; the program need not read it.

    """
    loads = _loads(module)
    read, decides = {source.name for source in loads}, converted(*rows.roots)
    unread = [name for name in docs if name not in read]
    parameters = [f"{parameter(source.name)}: Any" for source in loads]
    parameters += [f"{parameter(name)}: Any = None" for name in unread]
    made = [_made(kind, changed(rows).get(kind)) for kind in Kind]
    return "\n".join(
        [
            *signature(
                "def mods(",
                ["q: Tensor", "k: Tensor", *(["*", *parameters] if parameters else [])],
                ") -> tuple[Any, Any, Any]:",
            ),
            '    """Return the mask, the score and the epilogue as functions, None for no change.',
            "",
            "    Args:",
            "        q: queries ``[B, H, Q, D]``.",
            "        k: keys ``[B, Hkv, K, D]``.",
            *(line for source, result in loads.items() for line in _doc(source, result, docs)),
            *(f"        {parameter(name)}: not read." for name in unread),
            "",
            '    """',
            *(
                line
                for source, result in loads.items()
                for line in _fitted(source, result, source.name in decides)
            ),
            *(line for lines, _ in made for line in lines),
            f"    return {', '.join(name for _, name in made)}",
        ]
    )


def parameter(name: str) -> str:
    """Return an input's name as a keyword of Python."""
    clashes = keyword.iskeyword(name) or name in _TAKEN or name.startswith(("_", "in_"))
    return identifier(name) if clashes else name


def plain(text: str) -> str:
    """Return user text for a comment or a docstring: signs that show, and no end of a string."""
    shown = "".join(c if c.isascii() and c.isprintable() else " " for c in text)
    return shown.replace("\\", "/").replace('"""', "'''")


def _loads(module: Module) -> dict[Input, list[Load]]:
    """Return the reads of each input."""
    result: dict[Input, list[Load]] = {source: [] for source in inputs(*module.roots)}
    for term in walk(*module.roots):
        if isinstance(term, Load):
            result[term.input].append(term)
    return result


def _has_batch(load: Load) -> bool:
    return any(isinstance(i, Index) and i.which is Ix.BATCH for i in load.indices)


def _sizes(loads: list[Load]) -> list[str]:
    """Return how many entries each dimension has at least, as Python."""
    sizes = [] if _has_batch(loads[0]) else [SIZES[Sz.BATCH_SIZE]]
    for indices in zip(*(load.indices for load in loads), strict=True):
        known = dict.fromkeys(_EXTENTS[i.which] for i in indices if isinstance(i, Index))
        listed = ", ".join(known)
        sizes.append(f"max({listed})" if len(known) > 1 else listed or "1")
    return sizes


def _doc(source: Input, loads: list[Load], docs: Mapping[str, str]) -> list[str]:
    subscripts = ", ".join(expr_text(index) for index in loads[0].indices) or "no subscript"
    batch = "" if _has_batch(loads[0]) else ", the batch in front or not"
    text = f"{parameter(source.name)}: {source.type.value}, by {subscripts}{batch}"
    doc = plain(docs.get(source.name, ""))
    return textwrap.wrap(
        f"{text}: {doc}." if doc else f"{text}.",
        LINE,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
    )


def _fitted(source: Input, loads: list[Load], exact: bool) -> list[str]:
    sizes = _sizes(loads)
    shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    given = [f'"{source.name}"', parameter(source.name), shape, "q"]
    given += ["batch=False"] if _has_batch(loads[0]) else []
    given += ["exact=True"] if exact else []
    return signature(f"    {identifier(source.name)} = _fitted(", given, ")")


def _made(kind: Kind, expr: Expr | None) -> tuple[list[str], str]:
    """Return the lines that build a function, and its name."""
    if expr is None:
        return [], "None"
    read, sizes = arguments(expr)
    name = f"{kind.name.lower()}_mod"
    given = [*(identifier(one) for one in read), *(SIZES[size] for size in sizes)]
    return signature(f"    {name} = _build_{name}(", given, ")"), name
