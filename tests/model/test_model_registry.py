"""The registry finds a model by everything that a person may type, and says what is wrong otherwise."""

from pathlib import Path

import pytest

from evalharness.errors import ModelError
from evalharness.model.registry import (
    list_models,
    load_model_file,
    load_registered,
    model_search_path,
    name_of_directory,
    resolve_model,
)


def write(folder: Path, name: str, body: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(f"name: {name}\n{body}", encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, so that no ./configs/models of the checkout is seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALHARNESS_MODELS", raising=False)
    return tmp_path


def test_a_registered_name_is_found(folder: Path) -> None:
    write(folder / "configs/models", "mine", "path: org/mine\ndtype: float32\n")
    spec = resolve_model("mine")
    assert (spec.name, spec.path, spec.dtype) == ("mine", "org/mine", "float32")


def test_a_registered_name_is_stronger_than_a_directory(folder: Path) -> None:
    (folder / "mine").mkdir()
    write(folder / "configs/models", "mine", "path: org/mine\n")
    assert resolve_model("mine").path == "org/mine"


def test_a_directory_is_stronger_than_a_hub_id(folder: Path) -> None:
    (folder / "org/name").mkdir(parents=True)
    spec = resolve_model("org/name")
    assert (spec.name, spec.path) == ("name", "org/name")


def test_a_hub_id_keeps_both_parts_in_the_name(folder: Path) -> None:
    spec = resolve_model("some-org/Some_Model-1.5")
    assert (spec.name, spec.path, spec.backend) == (
        "some-org--Some_Model-1.5",
        "some-org/Some_Model-1.5",
        "transformers",
    )


def test_a_hub_id_that_is_registered_brings_its_card(folder: Path) -> None:
    write(folder / "configs/models", "mine", "path: org/mine\ncard: {licence: MIT}\n")
    spec = resolve_model("org/mine")
    assert (spec.name, spec.card.licence) == ("mine", "MIT")


def test_a_broken_model_file_does_not_stop_an_unrelated_hub_id(folder: Path) -> None:
    write(folder / "configs/models", "broken", "nonsense: 1\n")
    assert resolve_model("org/mine").path == "org/mine"


def test_a_yaml_file_is_loaded_from_its_path(folder: Path) -> None:
    file = write(folder / "elsewhere", "mine", "path: org/mine\n")
    assert resolve_model(str(file)).name == "mine"


def test_a_predictions_file_is_answered_by_replay(folder: Path) -> None:
    (folder / "their answers.jsonl").write_text("", encoding="utf-8")
    spec = resolve_model("their answers.jsonl")
    assert (spec.name, spec.backend, spec.path) == ("their-answers", "replay", "their answers.jsonl")


@pytest.mark.parametrize("text", ["./gone", "../gone", "/gone/away", "~/gone-away-for-ever", "org/gone/", "a/b/c"])
def test_a_path_that_does_not_exist_is_never_a_hub_id(folder: Path, text: str) -> None:
    with pytest.raises(ModelError, match="there is no file or directory"):
        resolve_model(text)


def test_a_missing_path_names_its_neighbours(folder: Path) -> None:
    (folder / "small-500").mkdir()
    with pytest.raises(ModelError, match="did you mean `small-500`"):
        resolve_model("./small-50")


def test_an_unknown_name_gets_near_matches_and_advice(folder: Path) -> None:
    write(folder / "configs/models", "my-model", "path: org/mine\n")
    with pytest.raises(ModelError) as caught:
        resolve_model("my-modle")
    message = str(caught.value)
    assert "unknown model `my-modle`" in message
    assert "did you mean `my-model`" in message
    assert "hub id such as organisation/name" in message


def test_a_bare_unregistered_hub_id_is_unknown(folder: Path) -> None:
    with pytest.raises(ModelError, match="unknown model `distilgpt2`"):
        resolve_model("distilgpt2")


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_model_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ModelError, match="the model is empty"):
        resolve_model(text)


def test_a_file_that_is_no_model_is_refused(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="is a file, not a model"):
        resolve_model("weights.safetensors")


def test_an_adapter_directory_is_explained(folder: Path) -> None:
    (folder / "lora").mkdir()
    (folder / "lora/adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"--set model\.adapter=lora"):
        resolve_model("./lora")


def test_a_later_folder_overrides_an_earlier_one(folder: Path) -> None:
    first = write(folder / "a", "mine", "path: org/first\n")
    write(folder / "b", "mine", "path: org/second\n")
    found = load_registered("mine", [folder / "a", folder / "b"])
    assert (found.spec.path, found.overridden) == ("org/second", (first,))


def test_the_environment_is_stronger_than_the_current_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "configs/models", "mine", "path: org/here\n")
    write(folder / "b", "mine", "path: org/there\n")
    monkeypatch.setenv("EVALHARNESS_MODELS", f"{folder / 'a'}:{folder / 'b'}")
    assert resolve_model("mine").path == "org/there"


def test_a_folder_named_twice_is_searched_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(folder / "configs/models", "mine", "path: org/mine\n")
    monkeypatch.setenv("EVALHARNESS_MODELS", str(file.parent))
    assert load_registered("mine", model_search_path()).overridden == ()


def test_the_file_name_must_be_the_model_name(folder: Path) -> None:
    (folder / "mine.yaml").write_text("path: x/y\nname: other\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"mine\.yaml:2: the file is called mine\.yaml, the model `other`"):
        load_model_file(folder / "mine.yaml")


def test_paths_in_a_file_are_relative_to_it(folder: Path) -> None:
    body = "path: ./weights\nadapter: ../lora\nchat_template: ./chat.jinja\ntokenizer: org/tokenizer\n"
    spec = load_model_file(write(folder / "models", "mine", body))
    root = folder.resolve()
    assert spec.path == str(root / "models/weights")
    assert spec.adapter == str(root / "lora")
    assert spec.chat_template == str(root / "models/chat.jinja")
    assert spec.tokenizer == "org/tokenizer"


def test_all_mistakes_of_a_file_are_named_at_once(folder: Path) -> None:
    file = write(folder, "mine", "pth: org/mine\ndtype: float99\ncard: {licnce: MIT}\n")
    with pytest.raises(ModelError) as caught:
        load_model_file(file)
    message = str(caught.value)
    assert "did you mean `path`" in message
    assert "'float99'" in message
    assert "did you mean `licence`" in message
    assert len(caught.value.problems) == 3


def test_a_broken_file_does_not_hide_the_others(folder: Path) -> None:
    write(folder / "m", "good", "path: org/good\n")
    write(folder / "m", "bad", "dtype: float99\n")
    listing = list_models([folder / "m"])
    assert [model.spec.name for model in listing.models] == ["good"]
    assert len(listing.problems) == 1


def test_overrides_reach_nested_fields(folder: Path) -> None:
    overrides = {"dtype": "bfloat16", "card.family": "mine", "options.text": "yes", "context_tokens": "128"}
    spec = resolve_model("org/mine", overrides)
    assert (spec.dtype, spec.card.family, spec.options, spec.context_tokens) == (
        "bfloat16",
        "mine",
        {"text": "yes"},
        128,
    )


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"dtype": "float99"}, r"^--dtype: dtype: .*'float99'"),
        ({"contxt_tokens": 5}, r"^--set model\.contxt_tokens: unknown field[^\n]*\n.*did you mean `context_tokens`"),
        ({"card.licnce": "MIT"}, r"^--set model\.card\.licnce: unknown field `licnce` in card\n.*`licence`"),
        ({"dtype.x": 1}, r"^--set model\.dtype\.x: `dtype` has no parts"),
    ],
)
def test_a_wrong_override_names_its_flag(folder: Path, overrides: dict[str, object], expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        resolve_model("org/mine", overrides)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("out/my model (2)", "my-model-2"),
        ("out/run1/checkpoint-500", "run1-checkpoint-500"),
        ("out/run1/final", "run1-final"),
        ("out/---", "model"),
    ],
)
def test_a_directory_gives_its_name_to_the_model(path: str, name: str) -> None:
    assert name_of_directory(Path(path)) == name
