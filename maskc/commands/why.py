"""``maskc why``: why a query sees a key, or which keys it sees."""

from __future__ import annotations

from typing import Any

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.inputs import grid_of, input_options, length_of, read_inputs, with_random
from maskc.commands.output import json_option, say_json
from maskc.view.terminal import say

LEAST = 64
"""Tokens of a sequence of which nothing is said, so that there are keys after a query."""

POSITION = click.IntRange(min=0)
COUNT = click.IntRange(min=1)


@click.command()
@arguments.program_argument
@arguments.define_option
@click.option("--q", metavar="N", type=POSITION, required=True, help="The position of the query.")
@click.option("--k", metavar="N", type=POSITION, help="That of the key.  [default: all keys]")
@click.option("--batch", metavar="N", type=POSITION, default=0, help="Which batch.")
@click.option("--head", metavar="N", type=POSITION, default=0, help="Which head.")
@input_options
@click.option(
    "--tokens",
    metavar="N",
    type=COUNT,
    help="Of the sequence.  [default: as many as the inputs have, or the grid]",
)
@click.option("--heads", metavar="N", type=COUNT, help="Query heads.  [default: up to --head]")
@click.option("--batches", metavar="N", type=COUNT, help="Batches.  [default: up to --batch]")
@arguments.seed_option
@json_option
def why(
    program: str,
    constants: tuple[tuple[str, Any], ...],
    q: int,
    k: int | None,
    batch: int,
    head: int,
    given: tuple[tuple[str, str], ...],
    lengths: tuple[int, ...] | None,
    tokens: int | None,
    heads: int | None,
    batches: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Tell why a query sees a key or not.

    Prints what each part of the mask says of the pair, and which parts decide. Without --k it
    tells which keys the query sees, and what bounds them.
    """
    compiled = load_program(program, constants)
    held = read_inputs(compiled, given, None, 0)
    length = tokens or sum(lengths or ()) or length_of(held)
    length = length or grid_of(compiled) or max(LEAST, q + 1, (k or 0) + 1)
    held = read_inputs(compiled, given, lengths, length)
    heads, batches = heads or head + 1, batches or batch + 1
    shape = arguments.call_sizes(b=batches, h=heads, hkv=None, q=length, k=None)
    inputs = with_random(compiled, shape, held, seed)
    bound = compiled.bind(**shape, **inputs.tensors)
    answer = bound.why(q=q, batch=batch, head=head, **({} if k is None else {"k": k}))
    if as_json:
        say_json({**answer.as_dict(), "drawn": list(inputs.drawn)})
        return
    say(str(answer))
    if inputs.remark:
        click.echo(inputs.remark, err=True)
