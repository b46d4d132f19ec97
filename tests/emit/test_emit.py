"""Emitted files stand alone, mean what the program means, and are clean."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from environments import Case, environments
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules
from torch.nn.attention.flex_attention import flex_attention

import maskc
from maskc.ir.nodes import Module, TopK, walk
from maskc.ir.text import to_text
from maskc.testing import random_inputs, random_qkv

SIZES = {"batch_size": 2, "num_heads": 4, "num_kv_heads": 2, "q_len": 9, "kv_len": 9}
ROOT = Path(__file__).parents[2]

PROGRAMS = [
    "full",
    "causal",
    "k <= q; score = score * 2",
    "causal & same_doc & window(3)",
    "causal; score = score + alibi",
    "score = score + bias[head, q, k] + inf * 0.0; input bias: float".replace(" + inf * 0.0", ""),
    "axis h = 3, w = 3; causal & same_doc; score = softcap(score, 30) + relpos(h, w)",
    "causal; input sink: float; out = out * sigmoid(lse - sink[head])",
    "input gate: float; out = out * gate[batch, q]",
    "prefix | causal_lower_right; score = where(valid_keys, score, score - 2)",
    "input n: int; input class: bool; q - k < n & class[kv_head, k // 2]",
    "q < kv_len - 12; score = clamp(score, -1, 1)",
    "q - k < min(4, 2 + num_heads // num_kv_heads) & false | k == q",
    "score = score + float(t5_bucket(k - q))",
    "input t: int; t[q] <= t[min(k + 3, 7)] & (q * 7 + k * 3 + head * 5) % 11 < 6 "
    "& (abs(q - k) < 4 | abs(q - k - 3) % 4 == 1 | max(q, k, 3) - min(q, k) < 5)",
]
EXAMPLES = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("examples/*.mask"))]


def compiled(text: str, empty_rows: str = "zero") -> maskc.Program:
    return maskc.compile_mask(text, empty_rows=empty_rows).for_layer(1)


def case(text: str, empty_rows: str = "zero") -> tuple[maskc.Program, tuple[Any, ...], dict]:
    program = compiled(text, empty_rows)
    generator = torch.Generator().manual_seed(0)
    inputs = random_inputs(program, SIZES, generator)
    return program, random_qkv(SIZES, 8, "float32", generator), inputs


def run(source: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(compile(source, "<emitted>", "exec"), scope)
    return scope


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_module_attends_as_the_reference_does(text: str) -> None:
    program, qkv, inputs = case(text)
    found = run(program.emit("module"))["attention"](*qkv, **keywords(inputs))
    torch.testing.assert_close(
        found, program(*qkv, backend="reference", **inputs), rtol=1e-4, atol=1e-5
    )


@settings(max_examples=examples(25))
@given(data=st.data(), module=modules())
def test_drawn_programs(data: st.DataObject, module: Module) -> None:
    assume(not any(isinstance(term, TopK) for term in walk(*module.roots)))
    program = maskc.compile_mask(to_text(module))
    case: Case = data.draw(environments(program.module))
    generator = torch.Generator().manual_seed(0)
    q, k, v = random_qkv(case.sizes, 4, "float64", generator)
    try:
        expected = program(q, k, v, backend="reference", **case.inputs)
    except maskc.BindError:
        assume(False)
    found = run(program.emit("module"))["attention"](q, k, v, **case.inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("policy", ["zero", "all", "nan", "error"])
@pytest.mark.parametrize("text", ["q > 2 & causal", "q > 2; score = score + float(k)"])
def test_rows_without_a_key(text: str, policy: str) -> None:
    program, qkv, inputs = case(text, policy)
    attention = run(program.emit("module"))["attention"]
    if policy == "error":
        with pytest.raises(ValueError, match="a query row has no key"):
            attention(*qkv)
        return
    expected = program(*qkv, backend="reference", **inputs)
    torch.testing.assert_close(attention(*qkv), expected, equal_nan=True)


def keywords(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs under names that Python can write; ``class`` is one that it cannot."""
    return {f"in_{name}" if name == "class" else name: value for name, value in inputs.items()}


@pytest.mark.parametrize("text", [text for text in PROGRAMS if "out =" not in text])
def test_an_sdpa_file_gives_the_mask(text: str) -> None:
    program, (q, k, v), inputs = case(text)
    scope = run(program.emit("sdpa"))
    mask = scope["attn_mask"](q, k, **keywords(inputs)) if "attn_mask" in scope else None
    found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    expected = program(q, k, v, backend="reference", **inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", [text for text in PROGRAMS if "out =" not in text])
def test_a_flex_file_gives_the_keywords(text: str) -> None:
    program, (q, k, v), inputs = case(text)
    args = run(program.emit("flex"))["flex_args"](q, k, **keywords(inputs))
    with torch._dynamo.config.patch(recompile_limit=1000):
        found = flex_attention(q, k, v, **args)
    expected = program(q, k, v, backend="reference", **inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_inputs_broadcast_and_are_checked() -> None:
    attn_mask = run(compiled("same_doc & causal").emit("sdpa"))["attn_mask"]
    q = k = torch.randn(2, 4, 6, 8)
    doc = torch.tensor([0, 0, 1, 1, 2, 2])
    mask = attn_mask(q, k, doc=doc)
    assert mask.shape == (2, 1, 6, 6)
    assert torch.equal(mask, attn_mask(q, k, doc=doc.expand(2, 6)))
    with pytest.raises(ValueError, match=r"input doc has shape \[1, 5\], expected at least \[2, 6"):
        attn_mask(q, k, doc=doc[:5])


@pytest.mark.parametrize("target", ["flex", "sdpa", "module"])
def test_files_are_clean(target: str, tmp_path: Path) -> None:
    texts = [*PROGRAMS, *EXAMPLES]
    written = 0
    for number, text in enumerate(texts):
        if "topk(" in text or (target != "module" and "out =" in text):
            continue
        source = compiled(text).emit(target)
        written += 1
        (tmp_path / f"{number}.py").write_text(source, encoding="utf-8")
    assert written >= 12
    rules = "E,F,W,I,UP,B,C4,SIM,RUF,PIE,D,N"
    ignored = "D203,D213,D205,D413,N812,SIM300"  # bounds read from left to right: 0 <= x < n
    ruff = [sys.executable, "-m", "ruff"]
    here = ["--isolated", "--line-length=100", str(tmp_path)]
    check = [*ruff, "check", f"--select={rules}", f"--ignore={ignored}", *here]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*ruff, "format", "--diff", *here], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


SCRIPT = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
assert importlib.util.find_spec("maskc") is None or "site-packages" in sys.argv[1]
import torch
saved = torch.load("case.pt")
sys.path.insert(0, ".")
import emitted
found = emitted.attention(*saved["qkv"], **saved["inputs"])
torch.testing.assert_close(found, saved["expected"], rtol=1e-4, atol=1e-5)
assert not any(name.split(".")[0] == "maskc" for name in sys.modules)
print("fine")
"""


@pytest.mark.processes
def test_a_file_runs_where_maskc_is_not(tmp_path: Path) -> None:
    program, qkv, inputs = case("causal & same_doc & window(4); score = softcap(score, 9) + alibi")
    expected = program(*qkv, backend="reference", **inputs)
    torch.save({"qkv": qkv, "inputs": inputs, "expected": expected}, tmp_path / "case.pt")
    (tmp_path / "emitted.py").write_text(program.emit("module"), encoding="utf-8")
    packages = str(Path(torch.__file__).parents[1])
    script = [sys.executable, "-I", "-S", "-c", SCRIPT, packages]
    done = subprocess.run(script, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_the_header_tells_where_it_comes_from() -> None:
    program = maskc.compile_mask('param layer: int\nwindow(layer + 2)  # """é\\', layer=3)
    source = program.emit("flex")
    assert "#     window(layer + 2)  # ''' /" in source
    assert "#     with layer = 3" in source
    assert program.digest in source
    assert "maskc" in source.splitlines()[2]


@pytest.mark.parametrize(
    ("text", "target", "code"),
    [
        ("causal", "triton", "M425"),
        ("input s: float; topk(s[k], 2)", "module", "M426"),
        ("out = out * 2", "flex", "M507"),
        ("out = out * 2", "sdpa", "M507"),
    ],
)
def test_what_is_refused(text: str, target: str, code: str) -> None:
    with pytest.raises(maskc.MaskcError, match=code):
        maskc.compile_mask(text).emit(target)
    with pytest.raises(maskc.MaskcError, match="M507"):
        maskc.compile_mask("causal", empty_rows="nan").emit("sdpa")
