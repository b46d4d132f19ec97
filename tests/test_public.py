"""The public face: what `import maskc` gives, and what it does not load."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import maskc

ROOT = Path(__file__).parents[1]


def modules_after(script: str) -> set[str]:
    """Return the modules that a script loads."""
    script += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_no_library_and_no_compiler() -> None:
    found = modules_after("import maskc; dir(maskc)")
    assert not {"torch", "sympy", "lark", "numpy", "maskc.pipeline", "maskc.ir.nodes"} & found


def test_packages_are_found_without_an_import_of_their_own() -> None:
    script = "import maskc; maskc.testing.matches, maskc.scale.Plan"
    assert {"maskc.testing", "maskc.scale"} <= modules_after(script)


def test_check_loads_no_pass_and_no_binding() -> None:
    script = "from maskc.checking import check; from maskc.source import Source"
    found = modules_after(f"{script}; assert not check(Source('causal'))")
    floors = {name.split(".")[1] for name in found if name.startswith("maskc.")}
    assert not {"passes", "analysis", "lower", "binding", "pipeline"} & floors


@pytest.mark.processes
def test_compiling_and_explaining_load_no_torch() -> None:
    text = "causal & same_doc & window(4); score = softcap(score + alibi, 20); out = out * 2"
    script = f"import maskc; program = maskc.compile_mask({text!r}); assert program.explain()"
    assert "torch" not in modules_after(script)
    bound = "import maskc; maskc.compile_mask('causal').bind(q_len=4)"
    assert {"torch", "maskc.run.bound"} <= modules_after(bound)


@pytest.mark.processes
def test_a_block_mask_loads_no_dynamo() -> None:
    made = "import maskc; assert maskc.compile_mask({!r}).bind(q_len=300).block_mask"
    for text in ("causal & window(5)", "causal; score = softcap(score, 3)"):
        assert not {"torch._dynamo", "sympy"} & modules_after(made.format(text))


def test_showing_a_mask_loads_no_torch() -> None:
    script = (
        "from maskc.cli import main; main(['show', 'causal & window(5)'], standalone_mode=False)"
    )
    assert not {"torch", "sympy", "rich"} & modules_after(script)


def test_every_public_name_is_there_and_listed() -> None:
    assert dir(maskc) == sorted(maskc.__all__)
    for name in maskc.__all__:
        assert getattr(maskc, name).__name__ == name


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'maskc' has no attribute 'compile'"):
        _ = maskc.compile


def test_a_program_unpickles_where_nothing_was_imported() -> None:
    pickled = pickle.dumps(maskc.compile_mask("causal & window(3)"))
    script = f"import pickle; program = pickle.loads({pickled!r}); assert program.text"
    assert "maskc.pipeline" in modules_after(script)
