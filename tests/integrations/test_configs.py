"""Programs as fields of the config systems that models are described in."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import maskc
from maskc import Program, compile_mask

TEXT = "causal & window(4)  # keys near by"


@dataclass(frozen=True)
class Attention:
    heads: int = 4
    mask: Program = field(default_factory=lambda: compile_mask("causal"))


def test_a_field_of_a_dataclass() -> None:
    config = Attention(mask=compile_mask(TEXT))
    assert config == Attention(mask=compile_mask("window(4) & k <= q"))
    assert hash(config) == hash(Attention(mask=compile_mask("causal & window(4)")))
    assert dataclasses.asdict(config) == {"heads": 4, "mask": compile_mask(TEXT)}
    assert dataclasses.replace(config, heads=8).mask is config.mask
    assert Attention().mask.text == "k <= q"


class TestPydantic:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        heads: int = 4
        mask: Program
        masks: tuple[Program, ...] = ()

    def test_text_is_compiled(self) -> None:
        model = self.Model(mask=TEXT, masks=["full", compile_mask("causal")])
        assert model.mask == compile_mask(TEXT)
        assert [program.text for program in model.masks] == ["full", "k <= q"]

    def test_it_is_written_back_as_it_was_read(self) -> None:
        model = self.Model(mask=TEXT)
        assert model.model_dump() == {"heads": 4, "mask": TEXT, "masks": ()}
        assert json.loads(model.model_dump_json())["mask"] == TEXT
        assert self.Model.model_validate_json(model.model_dump_json()) == model

    def test_a_wrong_program_is_a_validation_error(self) -> None:
        with pytest.raises(self.pydantic.ValidationError) as caught:
            self.Model.model_validate({"mask": "causal & windwo(4)"})
        (error,) = caught.value.errors()
        assert error["loc"] == ("mask",)
        assert error["type"] == "maskc"
        assert "error[M303]: unknown function `windwo`" in error["msg"]
        assert "did you mean `window`?" in str(caught.value)

    @pytest.mark.parametrize("value", [3, None, ["causal"], b"causal"])
    def test_what_is_no_text(self, value: object) -> None:
        with pytest.raises(self.pydantic.ValidationError, match="a program is a text"):
            self.Model(mask=value)

    def test_the_json_schema_is_that_of_a_text(self) -> None:
        assert self.Model.model_json_schema()["properties"]["mask"]["type"] == "string"

    def test_one_text_for_all_layers(self) -> None:
        text = "param layer: int; causal & (window(4) | bool(layer % 2))"
        model = self.Model(mask=text)
        assert model.mask.for_layer(0) == compile_mask(text, layer=0)
        assert model.model_dump()["mask"] == text


class TestOmegaConf:
    omegaconf = pytest.importorskip("omegaconf")

    @dataclass
    class Model:
        width: int = 4
        mask: str = "causal & window(${width})"

    def test_a_program_is_a_plain_string_with_interpolation(self) -> None:
        config = self.omegaconf.OmegaConf.structured(self.Model)
        assert compile_mask(config.mask) == compile_mask("causal & window(4)")
        override = self.omegaconf.OmegaConf.from_dotlist(["width=7"])
        merged = self.omegaconf.OmegaConf.merge(config, override)
        assert compile_mask(merged.mask) == compile_mask("causal & window(7)")

    def test_a_file_is_read_by_both(self, tmp_path: Path) -> None:
        path = tmp_path / "model.yaml"
        path.write_text("attention:\n  mask: |\n    causal &\n    window(4)\n")
        config = self.omegaconf.OmegaConf.load(path)
        assert compile_mask(config.attention.mask) == maskc.load(f"{path}:attention.mask")
