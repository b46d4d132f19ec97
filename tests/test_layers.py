"""One text for a whole model: the program of each layer, equal ones shared."""

import copy
import pickle
from pathlib import Path

import pytest

import maskc

GEMMA = """
param layer: int
param width = 4
let local = window(width)
causal & where(layer % 2 == 0, local, true)
"""


def test_each_layer_has_its_program_and_equal_layers_share_it() -> None:
    program = maskc.compile_mask(GEMMA)
    layers = [program.for_layer(layer) for layer in range(6)]
    assert layers[0].text == "0 <= q - k < 4"
    assert layers[1].text == "k <= q"
    assert all(layer is layers[number % 2] for number, layer in enumerate(layers))
    assert len({*map(id, layers)}) == 2


def test_a_layer_can_be_changed() -> None:
    program = maskc.compile_mask(GEMMA, layer=0)
    assert program.for_layer(0) is program
    assert program.for_layer(1) is program.for_layer(3)
    assert program.for_layer(1).for_layer(2) is program


def test_constants_keep_their_values_and_their_types() -> None:
    program = maskc.compile_mask(GEMMA, layer=1, width=9)
    assert program.for_layer(2).text == "0 <= q - k < 9"
    assert program.with_constants(layer=2, width=3).text == "0 <= q - k < 3"
    with pytest.raises(maskc.MaskTypeError, match=r"M227"):
        program.with_constants(layer=2.0)
    with pytest.raises(maskc.MaskNameError, match="did you mean `width`"):
        program.with_constants(widht=3)
    with pytest.raises(maskc.MaskTypeError, match="`layer` is a compile-time constant"):
        program.with_constants(layer="2")  # type: ignore[arg-type]


def test_a_program_without_layers_is_the_same_in_all() -> None:
    program = maskc.compile_mask("causal")
    assert program.for_layer(7) is program


def test_texts_that_mean_the_same_are_not_mixed_up() -> None:
    one = maskc.compile_mask("param layer: int; causal", layer=0)
    other = maskc.compile_mask("param layer: int; k <= q", layer=0)
    assert one == other
    assert one.for_layer(1) is one
    assert other.for_layer(1) is other


def test_a_program_for_all_layers_is_not_run() -> None:
    program = maskc.compile_mask(GEMMA)
    for use in (lambda: program.bind(q_len=4), lambda: program.emit("flex")):
        with pytest.raises(maskc.BindError) as caught:
            use()
        assert str(caught.value) == (
            "error[M427]: param `layer` has no value, so the program stands for all layers\n"
            " --> <mask>:2:7\n"
            "  2 | param layer: int\n"
            "    |       ^^^^^\n"
            "    = help: take the one of a layer: `program.for_layer(0)`, or give it: `layer=0`"
        )
    assert "stands for all layers" in program.explain()


def test_a_program_for_all_layers_is_no_layer() -> None:
    program = maskc.compile_mask(GEMMA)
    assert program != program.for_layer(0)
    assert program.digest != program.for_layer(0).digest
    assert program == maskc.compile_mask(program.text)
    assert program.digest == maskc.compile_mask(program.text).digest
    assert program != maskc.compile_mask(GEMMA, width=5)
    assert program.digest != maskc.compile_mask(GEMMA, width=5).digest


@pytest.mark.parametrize("text", ["param layer: bool; causal & layer", "param n: int; window(n)"])
def test_other_params_need_a_value(text: str) -> None:
    with pytest.raises(maskc.MaskNameError, match="has no value"):
        maskc.compile_mask(text)


def test_programs_are_copied_and_pickled_as_their_text() -> None:
    program = maskc.compile_mask(GEMMA)
    assert copy.deepcopy(program) is program
    assert pickle.loads(pickle.dumps(program.for_layer(1))) == program.for_layer(1)


def test_a_config_names_libraries(tmp_path: Path) -> None:
    (tmp_path / "one.mask").write_text("let near = window(4)\nlet far = !near\n")
    (tmp_path / "two.mask").write_text("let near = window(2)\n")
    path = tmp_path / "c.toml"
    path.write_text('[a]\nlibrary = ["one.mask", "two.mask"]\nmask = "near | far"\n')
    assert maskc.load(f"{path}:a.mask") == maskc.compile_mask("window(2) | !window(4)")
    path.write_text('[a]\nlibrary = "one.mask"\nmasks = ["near"]\n')
    assert maskc.load(f"{path}:a.masks.0") == maskc.compile_mask("window(4)")
    two = tmp_path / "two.mask"
    assert maskc.load(f"{path}:a.masks.0", library=two) == maskc.compile_mask("window(2)")
    path.write_text('[a]\nlibrary = 3\nmask = "near"\n')
    with pytest.raises(maskc.MaskcError, match=r"M604.*is `3`, expected a path"):
        maskc.load(f"{path}:a.mask")
    path.write_text('[a]\nlibrary = ["no.mask"]\nmask = "near"\n')
    with pytest.raises(maskc.MaskcError, match=r"M601.*no\.mask"):
        maskc.load(f"{path}:a.mask")


def test_several_libraries_by_argument(tmp_path: Path) -> None:
    paths = [tmp_path / "one.mask", tmp_path / "two.mask"]
    paths[0].write_text("let near = window(4)\n")
    paths[1].write_text("let wide = near | sinks(1)\n")
    assert maskc.compile_mask("wide", library=paths) == maskc.compile_mask("window(4) | sinks(1)")
