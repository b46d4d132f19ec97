"""A program is a value: immutable, equal by meaning, the same in every process."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskc import MaskcError, Program, compile_mask

TEXT = "causal & same_doc & window(512); score = softcap(score, 30)"
ROOT = Path(__file__).parents[1]
PRINT = """
import pickle, sys
from maskc import compile_mask
program = compile_mask(sys.argv[1], n=3) if "param" in sys.argv[1] else compile_mask(sys.argv[1])
print(program.digest, pickle.dumps(program).hex())
"""


def in_another_process(text: str, seed: str) -> tuple[str, Program]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PRINT, text],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    digest, pickled = done.stdout.split()
    return digest, pickle.loads(bytes.fromhex(pickled))


@pytest.mark.parametrize("text", [TEXT, "param n: int; k % n == 0 | k < q | valid_keys"])
def test_digests_and_pickles_cross_processes(text: str) -> None:
    program = compile_mask(text, n=3) if "param" in text else compile_mask(text)
    for seed in ("1", "4242"):
        digest, other = in_another_process(text, seed)
        assert digest == program.digest
        assert other == program
        assert hash(other) == hash(program)


def test_equal_by_meaning() -> None:
    program = compile_mask("causal & window(4)")
    assert program == compile_mask("0 <= q - k < 4")
    assert program == compile_mask(program.text)
    assert program != compile_mask("causal & window(5)")
    assert program != compile_mask("causal & window(4)", empty_rows="nan")
    assert program.digest != compile_mask("causal & window(4)", empty_rows="nan").digest
    assert program != program.text


def test_compiled_once() -> None:
    assert compile_mask(TEXT) is compile_mask(TEXT)
    assert pickle.loads(pickle.dumps(compile_mask(TEXT))) == compile_mask(TEXT)


def test_constants_that_python_takes_for_equal() -> None:
    text = "param n; k < n"
    assert compile_mask(text, n=1) != compile_mask(text, n=1.5)
    assert compile_mask(text, n=1).params["n"] == 1
    assert type(compile_mask(text, n=1).params["n"]) is int
    assert type(compile_mask(text, n=1.0).params["n"]) is float
    with pytest.raises(MaskcError):
        compile_mask(text, n=True)
    flag = "param on; on & causal"
    assert compile_mask(flag, on=True) == compile_mask("causal")
    with pytest.raises(MaskcError):
        compile_mask(flag, on=1)


def test_params_cannot_be_changed() -> None:
    program = compile_mask("param n: int; k < n", n=3)
    with pytest.raises(TypeError):
        program.params["n"] = 4


def test_a_library_of_definitions(tmp_path: Path) -> None:
    path = tmp_path / "masks.mask"
    path.write_text("let near = abs(q - k) < 3  # close by\n")
    program = compile_mask("near & causal", library=str(path))
    assert program == compile_mask("window(3) & causal")
    assert pickle.loads(pickle.dumps(program)) == program
    path.write_text("let near = abs(q - k) < 4\n")
    assert compile_mask("near & causal", library=str(path)) == compile_mask("window(4) & causal")
    with pytest.raises(MaskcError):
        compile_mask("near & causal")


def test_inputs_are_listed() -> None:
    names = [declared.name for declared in compile_mask("same_doc; score = score + alibi").inputs]
    assert names == ["doc", "slopes"]


def test_a_call_binds_and_attends() -> None:
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 3)
    doc = torch.arange(7) // 3
    program = compile_mask("causal & same_doc")
    sizes = {"q_len": 5, "kv_len": 7, "batch_size": 2, "num_heads": 4, "num_kv_heads": 2}
    bound = program.bind(**sizes, doc=doc)
    assert torch.equal(program(q, k, v, doc=doc), bound(q, k, v))
    assert bound(q, k, v).shape == (2, 4, 5, 3)
