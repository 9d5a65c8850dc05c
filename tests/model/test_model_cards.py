"""The models that come with the package: their files are right, and their cards say what readers need."""

from pathlib import Path

import pytest

from evalharness.model.registry import list_models, model_search_path
from evalharness.model.spec import ModelSpec
from evalharness.resources import bundled_dir

BUNDLED = list_models([bundled_dir("configs") / "models"])
#: Models of the field; the zoo's and the fake one have no hub page.
FIELD = [model.spec for model in BUNDLED.models if model.spec.backend == "transformers" and "/" in model.spec.path]
FIELD = [spec for spec in FIELD if not spec.path.startswith("/")]

# The families that the project promises to know (README, "Models").
FAMILIES = (
    "gpt2 bert roberta bart t5 flan-t5 mt0 nllb opt opt-iml llama llama-2 mistral-7b falcon chatglm chatglm2 baichuan "
    "baichuan2 rwkv-4 codegen-mono codeparrot codebert plbart vicuna"
)

each = pytest.mark.parametrize("spec", FIELD, ids=lambda spec: spec.name)


def test_every_bundled_file_is_read_without_a_problem() -> None:
    assert BUNDLED.problems == ()


def test_the_bundled_folder_is_the_first_of_the_search_path(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_search_path()[0] == bundled_dir("configs") / "models"


@pytest.mark.parametrize("family", FAMILIES.split())
def test_every_promised_family_is_registered(family: str) -> None:
    assert family in {spec.card.family for spec in FIELD}


@each
def test_a_card_names_what_readers_look_for(spec: ModelSpec) -> None:
    card = spec.card
    assert card.description
    assert card.parameters
    assert card.developer
    assert card.links
    assert f"https://huggingface.co/{spec.path}" in card.links


@each
def test_no_bundled_model_runs_code_of_its_checkpoint_unasked(spec: ModelSpec) -> None:
    assert not spec.trust_remote_code


@each
def test_a_model_type_is_native_in_transformers_or_null(spec: ModelSpec) -> None:
    names = pytest.importorskip("transformers.models.auto.configuration_auto").CONFIG_MAPPING_NAMES
    assert spec.model_type is None or spec.model_type in names


@each
def test_a_model_without_native_code_says_so_in_its_card(spec: ModelSpec) -> None:
    assert ("trust_remote_code" in spec.card.description) == (spec.model_type is None)


@each
def test_pickled_weights_are_explained_in_the_file(spec: ModelSpec) -> None:
    text = (bundled_dir("configs") / "models" / f"{spec.name}.yaml").read_text(encoding="utf-8")
    assert ("no safetensors" in text) == spec.allow_pickle


def test_vicuna_is_asked_in_the_format_it_was_trained_on() -> None:
    # FastChat's conversation template vicuna_v1.1: the system text, then turns with a colon; " " after the system text and
    # the user's turns, "</s>" after the assistant's. Expected text written out by hand from that rule.
    jinja2 = pytest.importorskip("jinja2")
    (spec,) = [spec for spec in FIELD if spec.card.family == "vicuna"]
    template = jinja2.Template(Path(spec.chat_template).read_text(encoding="utf-8"))
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    text = template.render(
        messages=[{"role": role, "content": content} for role, content in turns],
        add_generation_prompt=True,
        **tokens,
    )
    assert text == "<s>Be brief. USER: Hi ASSISTANT: Hello</s>USER: Bye ASSISTANT:"
