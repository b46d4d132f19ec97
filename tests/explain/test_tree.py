"""The tree of a program as it was written: its texts, and that it means what the program means."""

from pathlib import Path

import pytest
from environments import environments
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import modules

import maskc
from maskc.explain.as_written import as_written
from maskc.explain.tree import Kind, Written
from maskc.ir.evaluate import Env, Point, evaluate
from maskc.ir.nodes import TRUE, Module
from maskc.ir.text import to_text

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((ROOT / "examples").glob("*.mask"))


def outline(node: Written, depth: int = 0) -> list[str]:
    """Return the tree as lines: kind, text, and meaning where it differs."""
    more = "" if node.meaning == node.text else f" -> {node.meaning}"
    line = f"{'  ' * depth}{node.kind.value}: {node.text}{more}"
    return [line, *(each for part in node.parts for each in outline(part, depth + 1))]


def test_definitions_are_looked_into() -> None:
    program = maskc.compile_mask(
        """
        let near = window(30)  # a name of the user's own
        def but(a, b) = a & !b
        but(causal,
            # of another document
            same_doc) | near
        score = softcap(score, 30)
        score = score + alibi
        """
    )
    written = as_written(program)
    assert written.mask is not None
    assert outline(written.mask) == [
        "or: but(causal, same_doc) | near -> k <= q & !(doc[q] == doc[k]) | abs(q - k) < 30",
        "  name: but(causal, same_doc) -> k <= q & !(doc[q] == doc[k])",
        "    and: a & !b -> k <= q & !(doc[q] == doc[k])",
        "      name: causal -> k <= q",
        "        leaf: k <= q",
        "      not: !b -> !(doc[q] == doc[k])",
        "        name: same_doc -> doc[q] == doc[k]",
        "          leaf: doc[q] == doc[k]",
        "  name: near -> abs(q - k) < 30",
        "    name: window(30) -> abs(q - k) < 30",
        "      leaf: abs(q - k) < n -> abs(q - k) < 30",
    ]
    assert [step.text for step in written.score] == ["softcap(score, 30)", "score + alibi"]
    assert written.score[1].meaning == "score + slopes[head] * (k - q)"


def test_a_choice_has_three_parts_unless_a_constant_decides() -> None:
    text = (
        "param layer: int; where(layer % 2 == 0, causal, q / 0 > 1) & (full if q > 3 else causal)"
    )
    written = as_written(maskc.compile_mask(text, layer=2)).mask
    assert written is not None
    decided, open_choice = written.parts
    assert (decided.kind, [part.text for part in decided.parts]) == (Kind.NAME, ["causal"])
    assert open_choice.kind is Kind.CHOICE
    assert [part.text for part in open_choice.parts] == ["q > 3", "full", "causal"]


def test_no_mask_is_no_tree() -> None:
    written = as_written(maskc.compile_mask("score = score * 2"))
    assert written.mask is None
    assert [step.text for step in written.score] == ["score * 2"]


def check(node: Written, at: Point, env: Env) -> bool:
    """Return the value of a node, and see that it is that of its parts."""
    own = bool(evaluate(node.expr, at, env))
    match node.kind:
        case Kind.LEAF:
            return own
        case Kind.CHOICE:
            test, then, other = node.parts
            value = check(then if check(test, at, env) else other, at, env)
        case Kind.AND:
            value = all(check(part, at, env) for part in node.parts)
        case Kind.OR:
            value = any(check(part, at, env) for part in node.parts)
        case Kind.XOR:
            value = check(node.parts[0], at, env) != check(node.parts[1], at, env)
        case Kind.NOT:
            value = not check(node.parts[0], at, env)
        case Kind.NAME:
            value = check(node.parts[0], at, env)
    assert value == own, node.text
    return own


@pytest.mark.filterwarnings("ignore::maskc.MaskcWarning")
@settings(max_examples=examples(100))
@given(modules(), st.data())
def test_every_node_has_the_value_of_its_parts(module: Module, data: st.DataObject) -> None:
    program = maskc.compile_mask(to_text(module))
    mask = as_written(program).mask
    assert (TRUE if mask is None else mask.expr) == program.written.mask
    if mask is not None:
        case = data.draw(environments(program.written, positions=True))
        for at in data.draw(st.permutations(list(case.points())))[:5]:
            check(mask, at, case.env())


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_examples_have_trees(path: Path) -> None:
    try:
        program = maskc.load(path)
    except maskc.MaskcError as error:
        pytest.skip(f"a library, or a program with params to be given: {error.code}")
    mask = as_written(program).mask
    assert (TRUE if mask is None else mask.expr) == program.written.mask
