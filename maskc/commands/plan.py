"""``maskc plan``: a long sequence over many ranks, planned from a laptop."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, cast

import click

from maskc.commands import arguments
from maskc.commands.arguments import load_program
from maskc.commands.inputs import Lengths, documents
from maskc.commands.output import json_option, say_json
from maskc.topics import describe_bytes
from maskc.view.terminal import console, print_table, say

if TYPE_CHECKING:
    from maskc.options import Balance
    from maskc.program import Program
    from maskc.scale.plan import Plan


@click.command()
@arguments.program_argument
@arguments.define_option
@click.option(
    "--tokens", metavar="N", type=click.IntRange(min=1), required=True, help="Of the sequence."
)
@click.option(
    "--ranks", metavar="N", type=click.IntRange(min=1), required=True, help="That share it."
)
@click.option(
    "--lengths",
    metavar="N,N,...",
    type=Lengths(),
    help="Of packed documents, over and over until the sequence is full.",
)
@click.option(
    "--block",
    metavar="N",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Tokens of a block.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw the tiles of each rank by every order: .png, .svg or .pdf.",
)
@json_option
def plan(
    program: str,
    constants: tuple[tuple[str, Any], ...],
    tokens: int,
    ranks: int,
    lengths: tuple[int, ...] | None,
    block: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Plan a long sequence over many ranks.

    Prints for each order how much busier than the mean its busiest rank is, which share of the
    keys a rank reads and the bytes of its tables, and draws the ranks of the most even order.
    """
    from maskc.scale.order import ORDERS

    compiled = load_program(program, constants)
    inputs = _inputs(compiled, tokens, lengths)
    plans = {
        name: compiled.plan(
            tokens, ranks, block_size=block, balance=cast("Balance", name), **inputs
        )
        for name in ORDERS
    }
    if output is not None:
        from maskc.view.plan_picture import plan_picture

        costs = {name: one.rank_cost.numpy() for name, one in plans.items()}
        plan_picture(costs, output, title=str(compiled))
    result = {name: _numbers(compiled, one, inputs) for name, one in plans.items()}
    if as_json:
        say_json({"tokens": tokens, "ranks": ranks, "block_size": block, "orders": result})
        return
    rows = [
        (
            name,
            f"{numbers['imbalance']:.3f}",
            f"{min(numbers['kv_needed']):.0%} to {max(numbers['kv_needed']):.0%}",
            describe_bytes(numbers["table_bytes"]),
        )
        for name, numbers in result.items()
    ]
    header = ("order", "busiest over mean", "keys a rank", "tables of the busiest")
    with console() as terminal:
        print_table(terminal, f"{tokens} tokens over {ranks} ranks", header, rows)
    best = min(plans, key=lambda name: plans[name].imbalance)
    say(f"tiles a rank, {best}:")
    say(indent(str(plans[best]), "  "))
    if output is not None:
        say(f"wrote {output}")


def _numbers(program: Program, plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what one order costs."""
    from maskc.scale.memory import table_bytes

    cost = plan.rank_cost
    busiest = program.shard(plan, int(cost.argmax()), compact=True, **inputs)
    return {
        "imbalance": plan.imbalance,
        "kv_needed": list(plan.kv_needed),
        "rank_cost": cost.tolist(),
        "table_bytes": table_bytes(busiest),
    }


def _inputs(program: Program, tokens: int, lengths: tuple[int, ...] | None) -> dict[str, Any]:
    """Return ids of documents for the mask's one input of ids.

    Raises:
        click.UsageError: the mask reads something else, or lengths have no input to go to.

    """
    from maskc.ir.nodes import inputs

    read = {source.name for source in inputs(program.module.mask)}
    declared = [one for one in program.inputs if one.name in read]
    if not declared and lengths is None:
        return {}
    match declared:
        case [one] if one.type == "int" and one.rank == 1 and lengths is not None:
            import torch

            return {one.name: torch.from_numpy(documents(lengths, tokens))}
        case [one] if one.type == "int" and one.rank == 1:
            raise click.UsageError(f"the mask reads `{one.name}`: give --lengths of documents")
        case []:
            raise click.UsageError("the mask reads no ids of documents: leave --lengths out")
        case _:
            names = ", ".join(f"`{one.name}`" for one in declared)
            help = "plan in Python, where tensors can be given: `program.plan(...)`"
            raise click.UsageError(f"the mask reads {names}, and --lengths makes one input: {help}")
