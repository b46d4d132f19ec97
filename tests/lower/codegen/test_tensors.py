"""Generated functions mean what the program means, and read as what we wrote."""

import ast
import linecache
import pickle
import traceback

import pytest
import torch
from calls import module_rows_of, rows_of
from environments import Case, environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import masks, modules
from torch.nn.attention.flex_attention import create_mask

from maskc import compile_mask
from maskc.elaborate.module import elaborate
from maskc.ir.nodes import FALSE, SCORE, TRUE, Expr, FloatConst, Module
from maskc.ir.rows import Layout, Shape, to_rows
from maskc.ir.types import Given, Sz
from maskc.ir.vectorize import ROW_INDICES, Domain, everywhere, vectorize
from maskc.lower.codegen.mods import MaskMod, ScoreMod, mask_mod, score_mod
from maskc.lower.codegen.tensors import Kind, generate
from maskc.passes.support.driver import simplify
from maskc.source import Source
from maskc.syntax.parse import parse

SIZES = {Sz.BATCH_SIZE: 2, Sz.NUM_HEADS: 4, Sz.NUM_KV_HEADS: 2, Sz.Q_LEN: 5, Sz.KV_LEN: 7}
SHAPE = (2, 4, 5, 7)
BUILTINS = {"min", "max", "abs", "int", "float", "bool"}
OURS = {"torch", "inf", "score", "b", "h", "q_idx", "kv_idx", "changed", *BUILTINS}

STARTS = ("in_", "k_in_", "wide_", "k_wide_", "q_", "kv_", "h_", "b_")


def read(text: str) -> Module:
    tree, errors = parse(Source(text))
    elaborated, more = elaborate(tree, {})
    assert [*errors, *more] == []
    return elaborated.module


def domain(**tensors: torch.Tensor) -> Domain:
    return Domain(SIZES, tensors, torch.device("cpu"))


def called(
    mod: MaskMod | ScoreMod, where: Domain, score: torch.Tensor | None = None
) -> torch.Tensor:
    """Call a function on index tensors that broadcast to all pairs."""
    indices = [everywhere(where).indices[which] for which in ROW_INDICES]
    return mod(*indices) if score is None else mod(score, *indices)


def mapped(
    mod: MaskMod | ScoreMod, where: Domain, score: torch.Tensor | None = None
) -> torch.Tensor:
    """Call a function on 0-dimensional indices under four ``vmap``, as FlexAttention does."""
    function = mod
    held = (None,) if score is not None else ()
    for place in (3, 2, 1, 0):
        dims = tuple(0 if place == other else None for other in range(4))
        function = torch.vmap(function, in_dims=((0,) if held else ()) + dims)
    indices = [torch.arange(where.extent(which)) for which in ROW_INDICES]
    return function(*indices) if score is None else function(score, *indices)


def scores_of(case: Case) -> torch.Tensor:
    shape = case.batch_size, case.num_heads, case.q_len, case.kv_len
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@settings(max_examples=examples(100))
@given(data=st.data(), mask=masks())
def test_masks_of_drawn_programs(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask, positions=True, pairs=True))
    rows, where = rows_of(mask, case, data.draw(st.booleans()))
    mod, expected = mask_mod(rows, where), case.matrix(mask)
    for found in (called(mod, where), mapped(mod, where)):
        assert found.dtype is torch.bool
        assert torch.equal(found.expand_as(expected), expected)


@settings(max_examples=examples(60))
@given(data=st.data(), module=modules())
def test_scores_of_drawn_programs(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, positions=True))
    (rows, where), old = module_rows_of(module, case), scores_of(case)
    mod, expected = score_mod(rows.score, where), case.matrix(module.score, old)
    for found in (called(mod, where, old), mapped(mod, where, old)):
        whole = found.expand_as(expected).double()
        torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=examples(40))
@given(data=st.data(), mask=masks())
def test_torch_itself_calls_the_mask(data: st.DataObject, mask: Expr) -> None:
    case: Case = data.draw(environments(mask))
    rows, where = rows_of(mask, case)
    sizes = case.batch_size, case.num_heads, case.q_len, case.kv_len
    assert torch.equal(create_mask(mask_mod(rows, where), *sizes, device="cpu"), case.matrix(mask))


@given(data=st.data(), module=modules())
def test_the_code_has_our_names_only(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, pairs=True))
    rows, _ = module_rows_of(module, case)
    for expr, kind in ((rows.mask, Kind.MASK), (rows.score, Kind.SCORE)):
        tree = ast.parse(generate(expr, kind).source)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        ours = OURS | {size.value for size in Sz} | {"mask_mod", "score_mod"}
        for name in names - ours:
            assert name.startswith(STARTS) or name[1:].isdigit(), name


NUMBERS = [
    "q_len < 5",
    "q_len < 9",
    "kv_len % 2 == 1 & batch_size == 2",
    "(q_len < 9) ^ (kv_len < 3)",
    "!(num_heads // num_kv_heads == 2) | q < k",
    "q < k & q_len == 5",
    "where(q_len < 9, q < k, k < q)",
    "where(q < k, q_len < 9, kv_len < 3)",
    "where(q_len < 9, q, k) < 3",
    "float(where(q_len < 9, 1, 2.5)) < k",
    "log(kv_len) < q",
    "int(sqrt(kv_len) * 1.5) <= q",
    "round(kv_len / 2) == k",
    "floor(-kv_len / 2) < -k",
    "min(q_len, kv_len, 4) <= k",
    "exp(-q_len) < q",
    "bool(kv_len - 7) | q < k",
    "clamp(kv_len, 2, 5) > q",
    "clamp(q, 2, 3) == k",
    "clamp(q, 1.5, k) < 3",
    "clamp(2, q, k) < 3",
    "clamp(1, 2, q) < k",
    "clamp(k, q, 3.5) > 2",
    "clamp(q, k, 3) == 3",
    "min(q, 2.5) < k",
    "max(2.5, k, q) > 3",
    "max(float(q), k) > 3",
    "min(1, 2, q) < k",
    "max(q, k, 3, 4) == q",
    "abs(-3) < q",
    "(-q) // 3 == (-k) // 2",
    "(q - k) % -3 == 0",
    "(q - k) // -2 < 1",
    "-7 // 2 == -4 & -7 % 3 == 2 & q < k",
    "q // 2.5 == k // 2.5",
    "-q % 2.5 < 1",
    "5 // (q + 1) == k",
    "5 % (k - 8) < q",
    "q // (k - 9) < -1",
    "q % max(k, 1) == 0",
    "int(-1.5 * q) == -k",
    "int(1e30 * (q - 2)) < k",
    "int(log(0.0 * q)) < k",
    "int(0.0 / (q - 2)) == k",
    "round(q / 2) == k",
    "ceil(q / 2) == k",
    "2 ** q_len < 40 & q < k",
    "2 ** q < 9",
    "(-q) ** 3 < -5",
    "(q - k) ** 2 < 4",
    "-where(q < 3, 1, 2) < -k",
    "(q < k) == (k < 4)",
    "(q < k) != (q_len < 4)",
    "int(q < k) + k > 3",
    "float(q < k) * 2.5 > k",
    "bool(q - 2) & bool(float(k))",
    "q * -0.0 == 0",
    "1 / (-0.0 * q) < 0",
    "k < inf & -inf < q",
]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_and_tensors_mix(text: str) -> None:
    mask = read(text).mask
    case = Case(2, 4, 2, 5, 7)
    mod, expected = mask_mod(to_rows(mask, Layout()), domain()), case.matrix(mask)
    for found in (called(mod, domain()), mapped(mod, domain())):
        assert torch.equal(found.expand(SHAPE), expected), mod.source
    assert torch.equal(create_mask(mod, *SHAPE, device="cpu"), expected)
    rows = to_rows(mask, Layout())
    assert torch.equal(vectorize(rows, everywhere(domain()), domain()).expand(SHAPE), expected)


SCORES = [
    "score = 0",
    "score = -inf",
    "score = log(kv_len)",
    "score = 0 * score + 1",
    "score = where(q_len < 9, score, 0)",
    "score = where(q_len > 9, score, 0)",
    "score = where(q_len < 9, 1, 2.5)",
    "score = where(q < k, 1, 2.5)",
    "score = where(q < k, q, score)",
    "score = score * log(kv_len) / log(512)",
    "score = score + q_len",
    "score = score + int(q < k)",
    "score = float(k < q)",
    "score = max(score, -1, q)",
    "score = min(2, score)",
    "score = clamp(score, -k, q)",
    "score = clamp(1, score, 2)",
    "score = clamp(0.5, -1, score)",
    "score = 2 ** (k - q) + score",
    "score = score ** 2 + abs(score) ** 0.5",
    "score = score // 1",
    "score = score % 0.75",
    "score = -score - -0.5",
    "score = score + sin(q) * cos(k) + sigmoid(score)",
    "score = rsqrt(1 + q) * score + log2(1 + k)",
    "score = score - (q - k) - (2 - score)",
    "score = score / (2 / (1 + q)) / 3",
    "score = -2.0 ** 2 + (-2.0) ** 2 + score",
    "score = 2 ** -1 * score",
]


@pytest.mark.parametrize("text", SCORES)
def test_scores_of_numbers_and_tensors(text: str) -> None:
    score = read(text).score
    case = Case(2, 4, 2, 5, 7)
    old, rows = scores_of(case), to_rows(score, Layout())
    expected, mod = case.matrix(score, old), score_mod(rows, domain())
    found = [called(mod, domain(), old), mapped(mod, domain(), old)]
    found.append(vectorize(rows, everywhere(domain()), domain(), {Given.SCORE: old}))
    for one in found:
        torch.testing.assert_close(one.expand(SHAPE).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("table", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("score", [torch.bfloat16, torch.float32, torch.float64])
def test_a_score_keeps_its_bits_whatever_a_table_has(
    table: torch.dtype, score: torch.dtype
) -> None:
    module = simplify(read("input t: float; score = score * 2 + t[q] + log(1 + k)")).module
    where = Domain({}, {"t": torch.ones(3, dtype=table)}, torch.device("cpu"))
    mod = score_mod(to_rows(module.score, Layout()), where)
    zero = torch.tensor(0)
    changed = mod(torch.ones((), dtype=score), zero, zero, zero, zero)
    assert changed.dtype is torch.promote_types(score, torch.float32)
    assert changed == 3


def test_one_code_object_whatever_the_tensors() -> None:
    rows = to_rows(read("doc[q] == doc[k] & q < kv_len").mask, Layout())
    mods = [mask_mod(rows, domain(doc=torch.arange(size))) for size in (7, 9)]
    mods.append(mask_mod(rows, Domain(SIZES | {Sz.KV_LEN: 3}, {"doc": torch.ones(8)}, "cpu")))
    assert len({mod.function.__code__ for mod in mods}) == 1


def test_equal_programs_share_their_code() -> None:
    first, second = (to_rows(read("causal & window(3)").mask, Layout()) for _ in range(2))
    assert generate(first, Kind.MASK) is generate(second, Kind.MASK)


def test_tracebacks_show_the_source() -> None:
    rows = to_rows(read("valid[k]").mask, Layout())
    mask_mod(rows, domain(valid=torch.ones(7)))
    linecache.clearcache()  # as torch's compiler does
    mod = mask_mod(rows, domain(valid=torch.ones(7)))
    try:
        mod(None, None, None, object())
    except Exception as error:
        shown = "".join(traceback.format_exception(error))
    assert "return in_valid[kv_idx]" in shown
    assert "<maskc mask_mod " in shown
    linecache.checkcache()
    assert "in_valid" in "".join(linecache.getlines(mod.function.__code__.co_filename))


def test_the_source_reads_well() -> None:
    rows = to_rows(read("causal & (q - k) % 4 < log(kv_len) & doc[q] == doc[k]").mask, Layout())
    assert (
        generate(rows, Kind.MASK).source
        == """import torch


def build(in_doc, kv_len):
    n0 = torch.log(torch.tensor(float(kv_len), dtype=torch.float64)).item()

    def mask_mod(b, h, q_idx, kv_idx):
        q_doc = in_doc[q_idx]
        kv_doc = in_doc[kv_idx]
        return (kv_idx <= q_idx) & (((q_idx - kv_idx) & 3) < n0) & (q_doc == kv_doc)

    return mask_mod
"""
    )


def lines_of(text: str, which: str = "mask") -> list[str]:
    """Return the lines of a generated function's body."""
    kind = Kind.MASK if which == "mask" else Kind.SCORE
    rows = to_rows(getattr(simplify(read(text)).module, which), Layout())
    lines = generate(rows, kind).source.splitlines()
    start = next(place for place, line in enumerate(lines) if "_mod(" in line)
    return [line.strip() for line in lines[start + 1 : -2]]


@pytest.mark.parametrize(
    ("text", "which", "lines"),
    [
        ("valid[k]", "mask", ["return in_valid[kv_idx]"]),
        ("q < 3 & k // 8 == 1", "mask", ["return (8 <= kv_idx) & (kv_idx < 16) & (q_idx < 3)"]),
        (
            "score = score + slopes[head] * (k - q)",
            "score",
            [
                "score = score.to(torch.promote_types(score.dtype, torch.float32))",
                "h_slopes = in_slopes[h].to(wide_slopes)",
                "changed = score + h_slopes * (kv_idx - q_idx)",
                "return changed.to(score.dtype)",
            ],
        ),
        (
            "k // 64 <= q // 64 & k % 64 // 8 * 8 + 5 <= q",
            "mask",
            [
                "kv_block = 8 * ((kv_idx & 63) >> 3)",
                "q_block = (q_idx >> 6) * 64 + 64",
                "return (kv_block < q_idx - 4) & (kv_idx < q_block)",
            ],
        ),
        (
            "q.h == k.h; axis h = 4, w = 4",
            "mask",
            [
                "q_coord = torch.where((0 <= q_idx) & (q_idx < 16), q_idx >> 2, -1)",
                "kv_coord = torch.where((0 <= kv_idx) & (kv_idx < 16), kv_idx >> 2, -1)",
                "return q_coord == kv_coord",
            ],
        ),
        (
            "input idx: int; input len: int; idx[q] == idx[k] & len[k] < q_len",
            "mask",
            [
                "kv_len_2 = in_len[kv_idx]",
                "q_idx_2 = in_idx[q_idx]",
                "kv_idx_2 = in_idx[kv_idx]",
                "return (kv_len_2 < q_len) & (q_idx_2 == kv_idx_2)",
            ],
        ),
        (
            "input in_t: int; input t: int; in_t[q] < k & t[q] < k & t[doc[q]] < k",
            "mask",
            [
                "q_in_t = in_in_t[q_idx]",
                "q_t = in_t[q_idx]",
                "q_doc = in_doc[q_idx]",
                "q_t_2 = in_t[q_doc.clamp(0, in_t.shape[0] - 1)]",
                "return (q_in_t < kv_idx) & (q_t < kv_idx) & (q_t_2 < kv_idx)",
            ],
        ),
    ],
)
def test_parts_of_one_side_have_names(text: str, which: str, lines: list[str]) -> None:
    assert lines_of(f"input valid: bool; {text}" if "valid" in text else text, which) == lines


def test_a_name_stands_for_one_thing() -> None:
    """The tensors of a pair have names that an input could ask for as well."""
    layout = Layout(shapes={"t": (Shape(False, (False,)), Shape(False, (False,)))})
    rows = to_rows(
        read("input t: int; input in_t: int; t[q] == t[k] & in_t[q] == in_t[k]").mask, layout
    )
    tree = ast.parse(generate(rows, Kind.MASK).source)
    bound = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    bound += [
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for name in node.targets
        if isinstance(name, ast.Name)
    ]
    assert len(bound) == len(set(bound)) == 11


@given(data=st.data(), module=modules())
def test_lines_are_not_long(data: st.DataObject, module: Module) -> None:
    case: Case = data.draw(environments(module, pairs=True))
    rows, _ = module_rows_of(module, case)
    for expr, kind in ((rows.mask, Kind.MASK), (rows.score, Kind.SCORE)):
        source = generate(expr, kind).source
        assert max(map(len, source.splitlines())) <= 100, source


def doc_mod(doc: torch.Tensor, text: str = "same_doc & k < kv_len") -> MaskMod:
    return mask_mod(to_rows(read(text).mask, Layout()), domain(doc=doc))


def test_mods_compare_by_code_and_tensors() -> None:
    doc = torch.arange(7)
    assert doc_mod(doc) == doc_mod(doc)
    assert hash(doc_mod(doc)) == hash(doc_mod(doc))
    assert doc_mod(doc) != doc_mod(doc.clone())
    assert doc_mod(doc) != doc_mod(doc, "same_doc & k <= kv_len")
    shorter = Domain(SIZES | {Sz.KV_LEN: 6}, {"doc": doc}, torch.device("cpu"))
    assert doc_mod(doc) != mask_mod(to_rows(read("same_doc & k < kv_len").mask, Layout()), shorter)
    assert doc_mod(doc) != doc_mod(doc).function
    assert MaskMod(TRUE, (), ()) != ScoreMod(SCORE, (), ())


def test_mods_pickle() -> None:
    mod = pickle.loads(pickle.dumps(doc_mod(torch.arange(7) // 3)))
    assert mod.source == doc_mod(torch.arange(7)).source
    assert torch.equal(called(mod, domain()), called(doc_mod(torch.arange(7) // 3), domain()))
    score = score_mod(
        to_rows(read("score = score + alibi").score, Layout()), domain(slopes=torch.ones(4))
    )
    again = pickle.loads(pickle.dumps(score))
    assert torch.equal(
        called(again, domain(), torch.zeros(SHAPE)), called(score, domain(), torch.zeros(SHAPE))
    )


@pytest.mark.parametrize("value", [True, False])
def test_constant_masks(value: bool) -> None:
    mod = mask_mod(TRUE if value else FALSE, domain())
    assert torch.equal(create_mask(mod, *SHAPE, device="cpu"), torch.full(SHAPE, value))


@pytest.mark.parametrize("value", [float("nan"), -0.0, float("inf"), -2.5])
def test_float_constants(value: float) -> None:
    mod = score_mod(FloatConst(value), domain())
    found = called(mod, domain(), torch.zeros(SHAPE)).expand(SHAPE)
    torch.testing.assert_close(found, torch.full(SHAPE, value), equal_nan=True, rtol=0, atol=0)
    assert torch.equal(found.signbit(), torch.full(SHAPE, value).signbit())


@pytest.mark.parametrize("divisor", [1, 2, 64, 2**30, 3, 6])
def test_divisions_by_powers_of_two_are_of_bits(divisor: int) -> None:
    text = f"(q - 9) // {divisor} == (k - 5) % {divisor} - 2"
    mod = compile_mask(text).bind(q_len=40, kv_len=30).mask_mod
    q, k = torch.arange(40)[:, None], torch.arange(30)
    found = mod(q.new_zeros(()), q.new_zeros(()), q, k)
    assert torch.equal(*torch.broadcast_tensors(found, (q - 9) // divisor == (k - 5) % divisor - 2))
    divides = "//" in mod.source or "%" in mod.source
    assert divides == (divisor in (3, 6))


@pytest.mark.parametrize("op", ["==", "!="])
@pytest.mark.parametrize("difference", ["q - k", "3 * k - q // 2 + 7", "k - 5 - 2 * q"])
@pytest.mark.parametrize("step", [1, 2, 4, 64])
def test_phases_of_powers_of_two_are_compared_by_bits(op: str, difference: str, step: int) -> None:
    text = f"({difference}) % {step} {op} 0"
    mask_mod = compile_mask(f"{text} & q_len > 0").bind(q_len=9, kv_len=70).mask_mod
    q, k = torch.arange(9)[:, None], torch.arange(70)
    zero = q.new_zeros(())
    assert torch.equal(mask_mod(zero, zero, q, k).expand(9, 70), eval(text))
    if difference == "q - k" and step > 2:
        assert "bitwise_xor(q_idx, kv_idx)" in mask_mod.source
