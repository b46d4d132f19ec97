"""Another program in the place of a model's own: what it does, what is kept, what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from maskc import MaskcError, MaskcWarning, ModelError

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def model() -> Any:
    from like_eager import small_model

    return small_model("CausalLM", "gemma2")


def logits(model: Any, **feed: Any) -> torch.Tensor:
    from maskc.integrations.transformers.feeds import run

    return run(model, feed)


def test_a_program_equals_the_model_that_has_it_by_config(model: Any) -> None:
    """A window of 5 by text gives what a config with that window gives."""
    from like_eager import small_model, text

    from maskc.integrations.transformers import attach

    narrow = small_model("CausalLM", "gemma2", sliding_window=5)
    attach(model, {"sliding_attention": "causal & window(5)"})
    torch.testing.assert_close(
        logits(model, input_ids=text()), logits(narrow, input_ids=text()), atol=1e-4, rtol=0
    )


def test_by_layer(model: Any) -> None:
    from maskc.integrations.transformers import attach, programs

    attach(model, [f"causal & window({n})" for n in (2, 3, 4, 5)])
    found = [program.text.splitlines()[0] for program in programs(model).values()]
    assert found == [f"0 <= q - k < {n}" for n in (2, 3, 4, 5)]
    attach(model, "param layer: int\ncausal & window(layer + 2)")
    assert found == [program.text.splitlines()[0] for program in programs(model).values()]


def test_none_is_a_layers_own_mask(model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from maskc.integrations.transformers import attach, programs

    for given in ([None, "causal & window(3)", None, None], {"full_attention": None}):
        attach(model, given)
        found = [program.text.splitlines()[0] for program in programs(model).values()]
        second = "0 <= q - k < 3" if isinstance(given, list) else "k <= q"
        assert found == ["0 <= q - k < 8", second, "0 <= q - k < 8", "k <= q"]
        model.save_pretrained(tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="maskc")
        assert [program.text.splitlines()[0] for program in programs(loaded).values()] == found


def test_a_program_that_shows_nothing(model: Any) -> None:
    """It reads no padding and no documents, which the layers have at hand nevertheless."""
    from like_eager import feeds

    from maskc.integrations.transformers import attach

    attach(model, "causal & k > q")
    cases = {case: logits(model, **feed) for case, feed in feeds(model).items()}
    assert all(torch.equal(found, cases["plain"]) for found in cases.values())


@pytest.mark.parametrize("text", ["causal & window(4)", "causal & (window(4) | sinks(2))"])
def test_positions_count_from_the_first_token(model: Any, text: str) -> None:
    from like_eager import LENGTHS, documents_alone, feeds

    from maskc.integrations.transformers import attach

    attach(model, text)
    cases = feeds(model)
    ids = cases["plain"]["input_ids"]
    padded = logits(model, **cases["padded"])[1, 7:]
    torch.testing.assert_close(padded, logits(model, input_ids=ids[1:, 7:])[0], atol=1e-4, rtol=0)
    assert sum(LENGTHS) == ids.shape[1]
    packed, alone = logits(model, **cases["packed"]), documents_alone(model, ids)
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=0)


def test_inputs(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach, check

    open_gates = {"gate": torch.zeros(64, dtype=torch.bool)}
    attach(model, "input gate: bool\ncausal & gate[k]", inputs=open_gates)
    assert check(model, input_ids=text()) > 0.1
    with pytest.raises(MaskcError, match="gate"):
        attach(model, "input gate: bool\ncausal & gate[k]")


SIZED = {
    "gate[k]": (3, 16),
    "gate[q] & gate[k]": (16,),
    "gate[batch, k]": (3, 40),
    "gate[head, q, k]": (4, 16, 16),
    "gate[batch]": (3,),
}


@pytest.mark.parametrize("text", SIZED)
def test_inputs_may_be_of_any_batch_and_length(model: Any, text: str) -> None:
    """Theirs are the sizes of the batches to come, not of the text that a model is tried on."""
    from like_eager import text as ids

    from maskc.integrations.transformers import attach, check, programs, report

    gate = torch.rand(SIZED[text], generator=torch.Generator().manual_seed(0)) < 0.5
    attach(model, f"input gate: bool\ncausal & (k == q | {text})", inputs={"gate": gate})
    assert len(programs(model)) == 4
    assert "gate" in report(model, 16)
    assert check(model) > 0
    tokens = torch.cat([ids(16), ids(16)[:1].flip(1)])
    assert logits(model, input_ids=tokens).isfinite().all()


def test_the_score_of_a_program_takes_the_place_of_the_models(model: Any) -> None:
    from maskc.integrations.transformers import attach, programs

    attach(model, "causal; score = softcap(score, 7.0)")
    assert {p.text for p in programs(model).values()} == {"k <= q\nscore = 7.0 * tanh(score / 7.0)"}


def test_detach_gives_the_model_back(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach, detach

    before = logits(model, input_ids=text())
    attach(model, "causal & window(3)")
    assert not torch.allclose(logits(model, input_ids=text()), before, atol=0.1)
    assert detach(model) is model
    assert torch.equal(logits(model, input_ids=text()), before)
    assert not hasattr(model.config, "maskc")


def test_a_wrong_program_leaves_the_model_as_it_was(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach

    attach(model, "causal & window(3)")
    before = logits(model, input_ids=text())
    with pytest.raises(MaskcError):
        attach(model, "causal & widow(3)")
    assert torch.equal(logits(model, input_ids=text()), before)
    assert model.config.maskc == "causal & window(3)"


WRONG = [
    ({"local": "causal"}, "the model has no layers of kind `local`"),
    (["causal"], "1 programs are given, and a layer has number 1"),
    ("input document: int\ndocument[q] == document[k]", "`document` is an input that the layers"),
]


@pytest.mark.parametrize(("program", "message"), WRONG)
def test_what_fits_no_layer_is_refused(model: Any, program: Any, message: str) -> None:
    from maskc.integrations.transformers import attach

    with pytest.raises(ModelError, match="M906") as caught:
        attach(model, program)
    assert message in str(caught.value)


NONSENSE = [
    ((3,), {}, "M906", "expected a program, a dict or a list of them, found int"),
    (("causal",), {"inputs": [1]}, "M906", "expected a dict of inputs, found list"),
    ((["causal"] * 5,), {}, "M906", "5 programs are given for 4 layers"),
    (([],), {}, "M906", "the list names no program"),
    (({},), {}, "M906", "the dict names no program"),
    ((b"causal",), {}, "M906", "found bytes"),
    (({"full_attention": 3},), {}, "M108", "a program is a text, found int"),
    (("causal",), {"inputs": {"gate": 1}}, "M401", "no program has an input `gate`"),
    (("input gate: bool\ngate[k]",), {}, "M402", 'attach(..., inputs={"gate": ...})'),
    (("input gate: bool\ngate[k]",), {"inputs": {"gat": 1}}, "M402", "did you mean `gat`?"),
    (("full",), {"probe": [1]}, "M904", "expected a dict of the model's arguments, found list"),
    (("full",), {"probe": {"input_id": 1}}, "M904", "did you mean `input_ids`?"),
    (("full",), {"probe": {"input_ids": torch.ones(1, 3)}}, "M904", "does not run on input_ids"),
]


@pytest.mark.parametrize(("given", "keywords", "code", "message"), NONSENSE)
def test_nonsense_is_refused(
    model: Any, given: Any, keywords: Any, code: str, message: str
) -> None:
    from maskc.integrations.transformers import attach

    with pytest.raises(MaskcError) as caught:
        attach(model, *given, **keywords)
    assert caught.value.code == code
    assert message in str(caught.value)
    assert model.config._attn_implementation != "maskc"


def test_what_is_no_model_is_refused(model: Any) -> None:
    from maskc.integrations.transformers import attach, check, detach, programs, report

    for call in (attach, detach, programs, check, report):
        for found in (3, torch.nn.Linear(2, 2)):
            with pytest.raises(ModelError, match="expected a model of transformers, found"):
                call(found)
    for length in (0, "a", True):
        with pytest.raises(MaskcError, match="M430"):
            report(model, length)


def test_weights_are_refused(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach

    with pytest.raises(ModelError, match="the attention weights are asked for"):
        attach(model)(text(), output_attentions=True)


REFUSED = [
    ("CausalLM", "bloom", "M901"),
    ("CausalLM", "git", "M901"),
    ("CausalLM", "doge", "M902"),
    ("CausalLM", "deepseek_v4", "M902"),
]


@pytest.mark.parametrize(("mapping", "kind", "code"), REFUSED)
def test_models_of_other_ways_are_refused(mapping: str, kind: str, code: str) -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    other = small_model(mapping, kind)
    with pytest.raises(ModelError) as caught:
        attach(other, "causal")
    assert caught.value.code == code
    assert other.config._attn_implementation != "maskc"


def test_a_model_of_two_attentions_is_refused_one_program() -> None:
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    with pytest.raises(ModelError, match="attends in several ways"):
        attach(small_model("Seq2SeqLM", "t5"), "causal")


def test_a_model_whose_code_ignores_its_mask_is_found() -> None:
    """Planted: a layer that calls the interface without the mask it was given."""
    from like_eager import small_model

    from maskc.integrations.transformers import attach

    deaf = small_model("CausalLM", "llama")
    layer = deaf.model.layers[1].self_attn
    heard = layer.forward

    def forward(*args: Any, attention_mask: Any = None, **keywords: Any) -> Any:
        known = attention_mask if isinstance(attention_mask, torch.Tensor) else None
        return heard(*args, attention_mask=known, **keywords)

    layer.forward = forward
    with pytest.raises(ModelError, match="differs from its own eager attention"):
        attach(deaf)


def test_saving_and_loading_keep_the_program(model: Any, tmp_path: Path) -> None:
    from like_eager import text
    from transformers import AutoModelForCausalLM

    from maskc.integrations.transformers import attach

    attach(model, {"sliding_attention": "causal & window(3)"})
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="maskc").eval()
    expected = logits(model, input_ids=text())
    assert torch.equal(logits(loaded, input_ids=text()), expected)
    with pytest.warns(MaskcWarning, match="M707"):
        other = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not torch.allclose(logits(other.eval(), input_ids=text()), expected, atol=0.1)


def test_own_masks_are_loaded_without_a_word(model: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MaskcWarning)
        AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="maskc")


def test_report(model: Any) -> None:
    from maskc.integrations.transformers import attach, report

    attach(model, {"sliding_attention": "causal & window(512)"})
    assert report(model, 4096).splitlines() == [
        "layers                           empty at 4096  backend  program",
        "model.layers.*.self_attn (0, 2)  85 %           flex     "
        "0 <= q - k < 512; score = 50.0 * tanh(score / 50.0)",
        "model.layers.*.self_attn (1, 3)  48 %           flex     "
        "k <= q; score = 50.0 * tanh(score / 50.0)",
    ]


def test_check_asks_for_maskc(model: Any) -> None:
    from maskc.integrations.transformers import check

    with pytest.raises(ModelError, match="M904"):
        check(model)


def test_prepared_masks(model: Any) -> None:
    """A mask of four dimensions, boolean or of floats, is taken as it is."""
    from like_eager import text

    from maskc.integrations.transformers.implementation import using

    allowed = torch.ones(24, 24).tril().bool().expand(2, 1, 24, 24).clone()
    allowed[:, :, 5:, :2] = False
    added = torch.zeros(2, 1, 24, 24).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with using(model, "eager"):
        expected = logits(model, input_ids=text(), attention_mask=added)
    with using(model, "maskc"):
        for mask in (allowed, added):
            found = logits(model, input_ids=text(), attention_mask=mask)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_prepared_mask_holds_besides_a_program_with_a_score(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach

    attach(model, "causal; score = softcap(score, 7.0)")
    expected = logits(model, input_ids=text()[:, 3:], position_ids=torch.arange(3, 24)[None])
    hidden = torch.zeros(2, 1, 24, 24)
    hidden[..., :3] = -torch.inf
    found = logits(model, input_ids=text(), attention_mask=hidden)
    torch.testing.assert_close(found[:, 3:], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["booleans", "floats"])
def test_a_prepared_mask_holds_besides_a_program(model: Any, kind: str) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach, detach
    from maskc.integrations.transformers.implementation import using

    generator = torch.Generator().manual_seed(0)
    allowed = torch.rand(2, 4, 24, 24, generator=generator) < 0.6
    allowed |= torch.eye(24, dtype=torch.bool)
    place = torch.arange(24)
    near = (place[:, None] >= place) & (place[:, None] - place < 5)

    def floats(mask: torch.Tensor) -> torch.Tensor:
        return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)

    with using(model, "eager"):
        expected = logits(model, input_ids=text(), attention_mask=floats(allowed & near))
    attach(model, "causal & window(5)")
    given = allowed if kind == "booleans" else floats(allowed)
    found = logits(model, input_ids=text(), attention_mask=given)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    detach(model)


def test_a_prepared_mask_tells_no_positions_of_a_step(model: Any) -> None:
    from like_eager import text
    from transformers import DynamicCache

    from maskc.integrations.transformers import attach

    attach(model, "causal & window(5)")
    cache = DynamicCache()
    with torch.no_grad():
        model(text(), past_key_values=cache)
        step = torch.ones(2, 1, 1, 25, dtype=torch.bool)
        with pytest.raises(ModelError, match="a prepared mask tells no positions"):
            model(text()[:, :1], attention_mask=step, past_key_values=cache)


def test_a_prepared_mask_of_ints_is_refused(model: Any) -> None:
    """Eager adds it, so that 1 and 0 hide nothing."""
    from like_eager import text

    from maskc.integrations.transformers import attach

    with pytest.raises(MaskcError, match=r"M412.*floats to be added, found torch\.int"):
        logits(attach(model), input_ids=text(), attention_mask=torch.ones(2, 1, 24, 24).long())


def test_an_attention_mask_of_another_length_is_named(model: Any) -> None:
    from like_eager import text

    from maskc.integrations.transformers import attach

    with pytest.raises(ModelError, match="`attention_mask` has an entry for each token"):
        logits(attach(model), input_ids=text(), attention_mask=torch.ones(2, 20).long())


CHOOSERS = ("deepseek_v32", "glm_moe_dsa")


@pytest.mark.parametrize("kind", CHOOSERS)
def test_models_that_choose_their_keys(kind: str) -> None:
    """The keys that an indexer chooses are a mask of their own, which no program replaces."""
    from like_eager import small_model, text

    from maskc.integrations.transformers import attach, programs
    from maskc.integrations.transformers.implementation import using

    other = small_model("CausalLM", kind)
    ids = text()
    attach(other)
    assert "chosen[head, q_idx, kv_idx]" in next(iter(programs(other).values())).text
    few = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    found = other.generate(ids, **few)
    with using(other, "eager"):
        assert torch.equal(other.generate(ids, **few), found)
    with pytest.raises(ModelError, match="chooses keys, by itself"):
        attach(other, "causal & window(3)")


def test_code_that_works_on_masks_gets_floats() -> None:
    """A context is what eager would have, to whoever adds, joins or cuts it."""
    from maskc.integrations.transformers.forward.mask_maker import make_context

    tokens = torch.ones(2, 5, dtype=torch.bool)
    tokens[1, :2] = False
    context = make_context(2, 5, 5, attention_mask=tokens, dtype=torch.float64)
    allowed = torch.ones(5, 5).tril().bool() & tokens[:, None, None]
    least = torch.finfo(torch.float64).min
    expected = torch.zeros(2, 1, 5, 5, dtype=torch.float64).masked_fill(~allowed, least)
    assert torch.equal(context[:, :, 1:], expected[:, :, 1:])
    assert torch.equal(torch.cat([context, context], -1), torch.cat([expected, expected], -1))
    assert torch.equal(torch.ones(()) + context, expected + 1)


def test_a_model_of_text_and_images_by_its_parts(tmp_path: Path) -> None:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    from maskc.integrations.transformers import attach, programs

    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2}
    vision = CLIPVisionConfig(**sizes, **heads, image_size=16, patch_size=8)
    words = LlamaConfig(**sizes, **heads, num_key_value_heads=2, vocab_size=64)
    config = LlavaConfig(vision_config=vision, text_config=words, image_token_index=60)
    llava = LlavaForConditionalGeneration(config).eval()
    feed = {
        "input_ids": torch.tensor([[1, 60, 60, 60, 60, 5, 6, 7, 8, 9]]),
        "pixel_values": torch.randn(1, 3, 16, 16),
    }
    with pytest.raises(ModelError) as caught:
        attach(llava, "causal", probe=feed)
    parts = "`model.model.vision_tower`, `model.model.language_model`"
    assert parts in str(caught.value)
    attach(llava.model.language_model, "causal & window(3)")
    llava.save_pretrained(tmp_path)
    loaded = LlavaForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="maskc")
    for model in (llava, loaded.eval()):
        texts = {program.text for program in programs(model, **feed).values()}
        assert texts == {"full", "0 <= q - k < 3"}


def test_a_keyword_that_eager_reads_and_maskc_does_not_is_refused(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: an attention with a temperature of its own, in the file of the model."""
    from like_eager import text

    from maskc.integrations.transformers.forward.attention import _unknown_keywords
    from maskc.integrations.transformers.implementation import using

    def eager_attention_forward(module: Any, query: Any, *, temperature: float = 1.0) -> None: ...

    module = __import__(type(model).__module__, fromlist=["eager_attention_forward"])
    assert _unknown_keywords(type(model.model.layers[0].self_attn)) == ()
    _unknown_keywords.cache_clear()
    monkeypatch.setattr(module, "eager_attention_forward", eager_attention_forward)
    try:
        with using(model, "maskc"):
            logits(model, input_ids=text())
            with pytest.raises(ModelError, match="hands over `temperature`, which no program"):
                logits(model, input_ids=text(), temperature=0.5)
    finally:
        _unknown_keywords.cache_clear()
