"""A program as a field of a pydantic model: text in, text out; the one door to pydantic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

from maskc.compiled import Compiled
from maskc.errors import MaskcError, render


def program_schema(
    program: type[Compiled], compiler: Callable[[str], Compiled]
) -> core_schema.CoreSchema:
    """Return the schema of a program: validated by compiling it, serialised as it was written.

    Args:
        program: the class of programs; one that is compiled already passes as it is.
        compiler: what compiles a text.

    """

    def validate(value: Any) -> Compiled:
        if isinstance(value, program):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("maskc", "a program is a text")
        try:
            return compiler(value)
        except MaskcError as error:
            raise PydanticCustomError("maskc", "{error}", {"error": render(error)}) from None

    return core_schema.no_info_plain_validator_function(
        validate,
        json_schema_input_schema=core_schema.str_schema(),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: value.source, return_schema=core_schema.str_schema()
        ),
    )
