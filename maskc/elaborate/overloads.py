"""Which definition a call means, and which argument goes to which parameter."""

from __future__ import annotations

from maskc.elaborate.scope import Macro
from maskc.errors import MaskTypeError
from maskc.syntax import ast


def overload(macros: tuple[Macro, ...], node: ast.Call) -> Macro:
    """Return the definition that the call fits."""
    check_order(node)
    given = len(node.arguments)
    words = {part.name.text for part in node.arguments if part.name is not None}
    for macro in macros:
        least, most = macro.arity
        if least <= given <= most and words <= {p.name.text for p in macro.parameters}:
            return macro
    unknown = next(
        (
            part.name
            for part in node.arguments
            if part.name is not None and not any(_has(macro, part.name.text) for macro in macros)
        ),
        None,
    )
    shown = " or ".join(f"`{macro.signature}`" for macro in macros)
    if unknown is not None:
        message = f"`{macros[0].name}` has no parameter `{unknown.text}`"
        raise MaskTypeError("M214", message, unknown.span, f"it is {shown}")
    counts = sorted({n for macro in macros for n in range(macro.arity[0], macro.arity[1] + 1)})
    plural = "argument" if counts == [1] else "arguments"
    expected = " or ".join(map(str, counts))
    message = f"`{macros[0].name}` takes {expected} {plural}, found {given}"
    raise MaskTypeError("M204", message, node.span, f"it is {shown}")


def _has(macro: Macro, name: str) -> bool:
    return any(parameter.name.text == name for parameter in macro.parameters)


def matched(macro: Macro, node: ast.Call) -> list[ast.Expr]:
    """Return what each parameter of ``macro`` gets: an argument, or its default."""
    positional = [part.value for part in node.arguments if part.name is None]
    named = {part.name.text: part.value for part in node.arguments if part.name is not None}
    matched: list[ast.Expr] = []
    for index, parameter in enumerate(macro.parameters):
        name = parameter.name.text
        if index < len(positional):
            if name in named:
                message = f"`{name}` is given twice"
                raise MaskTypeError("M218", message, node.span, f"it is `{macro.signature}`")
            matched.append(positional[index])
        elif name in named:
            matched.append(named[name])
        elif parameter.default is not None:
            matched.append(parameter.default)
        else:
            message = f"`{macro.name}` misses its argument `{name}`"
            raise MaskTypeError("M204", message, node.span, f"it is `{macro.signature}`")
    return matched


def check_order(node: ast.Call) -> None:
    """Refuse an argument by position after one by name, and a name given twice."""
    seen: set[str] = set()
    for part in node.arguments:
        if part.name is None and seen:
            message = "an argument by position follows one by name"
            raise MaskTypeError("M218", message, part.span, "put it first")
        if part.name is not None:
            if part.name.text in seen:
                message = f"`{part.name.text}` is given twice"
                raise MaskTypeError("M218", message, part.name.span, "give it once")
            seen.add(part.name.text)
