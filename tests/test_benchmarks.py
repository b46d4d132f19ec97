"""Benchmarks that are for another machine: what runs of them here is right."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.by_hand.kernels import LENGTH, Form, forms
from maskc import compile_mask

GPU = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
BY_HAND = [form for form in forms() if form.mask_mod is not None]


@pytest.mark.parametrize("form", BY_HAND, ids=lambda form: f"{form.group}, {form.name}")
def test_a_mask_by_hand_is_the_program(form: Form) -> None:
    random = torch.Generator().manual_seed(0)
    q, far = torch.randint(0, LENGTH, (2, 5000), generator=random)
    near = (q + torch.randint(-600, 600, q.shape, generator=random)).clamp(0, LENGTH - 1)
    bound = compile_mask(form.text).bind(q_len=LENGTH, num_heads=2, **form.inputs)
    zero = torch.zeros_like(q)
    for k in (far, near):
        assert torch.equal(form.mask_mod(zero, zero, q, k), bound.mask_mod(zero, zero, q, k))


@pytest.mark.distributed
def test_what_a_gpu_would_run_runs_on_cpu() -> None:
    command = [sys.executable, str(GPU)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    assert "failed" not in run.stdout
    assert "== registers" in run.stdout
