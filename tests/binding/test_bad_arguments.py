"""Arguments that no call can take end in an error of ours, with what to do."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import maskc


def qkv(**changed: Tensor) -> dict[str, Tensor]:
    x = torch.randn(1, 2, 4, 8)
    return {"q": x, "k": x, "v": x, **changed}


X = torch.randn(1, 2, 4, 8)
BAD_TENSORS: dict[str, Callable[[], Tensor]] = {
    "meta": lambda: X.to("meta"),
    "sparse": X.to_sparse,
    "quantised": lambda: torch.quantize_per_tensor(X, 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2, 4, 8)], layout=torch.jagged),
    "narrow": lambda: X[..., :0],
    "float8": lambda: X.to(torch.float8_e4m3fn),
    "ints": X.long,
    "double": X.double,
}


@pytest.mark.parametrize("name", ["q", "k", "v"])
@pytest.mark.parametrize("kind", BAD_TENSORS)
@pytest.mark.parametrize("backend", ["auto", "sdpa", "reference", "flex"])
def test_tensors(name: str, kind: str, backend: str) -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask("causal")(**qkv(**{name: BAD_TENSORS[kind]()}), backend=backend)
    assert caught.value.help


def test_several_dtypes_are_named() -> None:
    bound = maskc.compile_mask("causal").bind_to(X, X)
    with pytest.raises(
        maskc.MaskcError, match=r"found q torch\.float64, k torch\.float32"
    ) as caught:
        bound(X.double(), X, X, backend="reference")
    assert caught.value.code == "M434"
    with pytest.raises(maskc.MaskcError, match=r"found q torch\.float64, k torch\.float32"):
        bound.weights(X.double(), X)


@pytest.mark.parametrize("scale", ["x", torch.ones(2), torch.ones(()), True, math.nan, math.inf])
@pytest.mark.parametrize("backend", ["auto", "sdpa", "reference", "flex"])
def test_scales(scale: Any, backend: str) -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask("causal")(**qkv(), scale=scale, backend=backend)
    assert caught.value.code == "M435"


@pytest.mark.parametrize("kind", ["meta", "sparse", "quantised", "nested", "float8"])
def test_inputs(kind: str) -> None:
    program = maskc.compile_mask("input t: float; t[0, 0, q, 0] < k")
    with pytest.raises(maskc.MaskcError):
        program.bind(q_len=4, t=BAD_TENSORS[kind](), device="cpu")


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_heads": torch.tensor(True)},
        {"q_len": True},
        {"q_len": torch.ones(2)},
        {"q_len": torch.tensor(2.5)},
        {"q_len": "4"},
        {"batch_size": 0},
        {"device": "meta"},
        {"device": "cuda:99"},
        {"device": "vulkan"},
        {"device": 3.5},
        *([] if torch.cuda.is_available() else [{"device": "cuda"}, {"device": "cuda:0"}]),
    ],
)
def test_sizes_and_devices(sizes: dict[str, Any]) -> None:
    with pytest.raises(maskc.MaskcError):
        maskc.compile_mask("causal").bind(**{"q_len": 4, **sizes})


@pytest.mark.parametrize("empty_rows", [["zero"], None, 3, {"zero"}])
def test_policies(empty_rows: Any) -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask("causal", empty_rows=empty_rows)
    assert caught.value.code == "M311"


@pytest.mark.parametrize("library", [3, [3], ["a.mask", None], 2.5])
def test_libraries(library: Any) -> None:
    with pytest.raises(maskc.MaskcError) as caught:
        maskc.compile_mask("causal", library=library)
    assert caught.value.code in ("M601", "M607")


def test_giant_sizes() -> None:
    bound = maskc.compile_mask("causal").bind(q_len=2**31 - 1)
    with pytest.raises(maskc.MaskcError, match="block_size=1024"):
        _ = bound.block_mask
    bound = maskc.compile_mask("causal").bind(q_len=2**20)
    for make in (bound.dense_mask, bound.attn_mask):
        with pytest.raises(maskc.MaskcError, match="over all pairs"):
            make()
    q = torch.zeros(1, 1, 2**20, 1)
    with pytest.raises(maskc.MaskcError, match="over all pairs"):
        bound(q, q, q, backend="reference")


@pytest.mark.parametrize("name", ["compact", "backward"])
@pytest.mark.parametrize("value", [1, "yes", None, X, np.ones(2)])
def test_flags_of_a_binding(name: str, value: Any) -> None:
    with pytest.raises(maskc.BindError, match="M446"):
        maskc.compile_mask("causal").bind(q_len=4, **{name: value})


@pytest.mark.parametrize("keywords", [{"fold_bias": X}, {"fold_bias": 1}, {"backend": np.ones(2)}])
def test_ways_to_run(keywords: dict[str, Any]) -> None:
    with pytest.raises(maskc.BindError, match=r"M446|M420"):
        maskc.compile_mask("causal")(**qkv(), **keywords)


def test_positions_of_numpy() -> None:
    causal = maskc.compile_mask("causal")
    rows = np.array([3, 4])
    by_array = causal.bind(q_len=2, kv_len=5, q_positions=rows)
    assert torch.equal(
        by_array.dense_mask(), causal.bind(q_len=2, kv_len=5, q_offset=3).dense_mask()
    )
    with pytest.raises(maskc.BindError, match="M408"):
        causal.bind(q_len=2, head_offset=rows)


OUT, LSE = torch.randn(1, 2, 4, 8), torch.zeros(1, 2, 4)


@pytest.mark.parametrize(
    ("out", "lse"),
    [
        (None, LSE),
        (OUT[0], LSE),
        (OUT[:, :1], LSE),
        (OUT.to_sparse(), LSE),
        (OUT.long(), LSE),
        (OUT, LSE[..., None]),
        (OUT, True),
        (OUT, LSE.to_sparse()),
        (OUT, LSE.long()),
    ],
)
def test_what_an_epilogue_is_given(out: Any, lse: Any) -> None:
    bound = maskc.compile_mask("out = out * sigmoid(lse)").bind(q_len=4, num_heads=2)
    torch.testing.assert_close(bound.epilogue(OUT, LSE), OUT / 2)
    with pytest.raises(maskc.BindError, match="M422"):
        bound.epilogue(out, lse)
