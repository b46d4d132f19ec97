"""From a line in a config file to attention on every backend: what `make demo` shows."""

import tomllib
from pathlib import Path

import torch
from rich.console import Console

import maskc
from maskc.testing import diff
from maskc.view.grid import grid
from maskc.view.terminal import print_table

CONFIG = Path(__file__).with_name("packed_grid.toml")


def main() -> None:
    """Compile, explain, draw and compare one program."""
    console = Console()
    config = tomllib.loads(CONFIG.read_text())["model"]
    torch.manual_seed(0)

    title(console, f"The program, from {CONFIG.name}")
    console.print(config["attention"]["mask"].strip(), highlight=False, style="cyan")

    title(console, "What it became, where it can run, and why")
    program = maskc.load(f"{CONFIG}:model.attention.mask", **config["grid"])
    console.print(program.explain(), highlight=False, markup=False, soft_wrap=True)

    q, k, v, inputs = tensors(config)
    bound = program.bind(
        q_len=q.shape[2],
        batch_size=q.shape[0],
        num_heads=config["heads"],
        num_kv_heads=config["kv_heads"],
        **inputs,
    )
    choice = bound.choice(q, k, v)
    console.print(f"\nhere `auto` takes {choice.backend}: {choice.reason}", soft_wrap=True)

    title(console, "Who attends to whom, in the first batch")
    console.print(grid(bound.dense_mask()[0, 0].numpy()), highlight=False)

    title(console, "How far each backend is from the reference in float64")
    report = diff(program, q, k, v, **inputs)
    print_table(console, report.title, report.header, report.rows)
    for remark in report.remarks:
        console.print(remark, style="dim")
    assert report.worst.largest < 1e-4, report
    console.print("every error is under 1e-4", style="bold green")


def tensors(
    config: dict[str, object],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Return random q, k, v, the documents, and the relative positions of a 2-D grid."""
    heads, kv_heads, width = config["heads"], config["kv_heads"], config["width"]
    rows, columns = config["grid"].values()
    tokens, batch = rows * columns, 2
    q = torch.randn(batch, heads, tokens, width)
    k, v = torch.randn(2, batch, kv_heads, tokens, width)
    lengths = torch.tensor([[120, 640, 264], [512, 256, 256]])
    doc = torch.stack([torch.repeat_interleave(torch.arange(3), n) for n in lengths])
    inputs = {"doc": doc, "rel_h": relative(q, rows, columns), "rel_w": relative(q, columns, 1)}
    return q, k, v, inputs


def relative(q: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """Return ``q . table[own coordinate - other coordinate]`` along one axis, [B, H, Q, size]."""
    table = torch.randn(2 * size - 1, q.shape[-1]) / q.shape[-1] ** 0.5
    own = torch.arange(q.shape[2]) // stride % size
    distance = own[:, None] - torch.arange(size) + size - 1
    return torch.einsum("bhqd,qkd->bhqk", q, table[distance])


def title(console: Console, text: str) -> None:
    """Print a heading."""
    console.print(f"\n{text}\n", style="bold underline")


if __name__ == "__main__":
    main()
