"""``evalharness models``: what people see, and the files that it writes."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.cli import models
from evalharness.errors import ModelError
from evalharness.model.registry import load_registered, resolve_model


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="evalharness")
    models.register(parser.add_subparsers(required=True))
    args = parser.parse_args(["models", *arguments])
    return args.handler(args)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALHARNESS_MODELS", raising=False)
    (tmp_path / "ckpt").mkdir()
    return tmp_path


def test_the_list_names_every_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr().out
    assert "gpt2-xl" in shown
    assert "google/flan-t5-small" in shown


def test_the_list_as_json_holds_whole_models(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json") == 0
    by_name = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert by_name["gpt2"]["card"]["parameters"] == 124_439_808
    assert by_name["gpt2"]["file"].endswith("gpt2.yaml")


def test_the_list_says_what_overrides_what(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "gpt2", "--path", "./ckpt")
    run("list")
    assert "gpt2: configs/models/gpt2.yaml overrides" in capsys.readouterr().out


def test_a_broken_file_is_told_after_the_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "configs/models").mkdir(parents=True)
    (here / "configs/models/broken.yaml").write_text("name: broken\nnonsense: 1\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"broken\.yaml:2: unknown field `nonsense`"):
        run("list")
    assert "gpt2-xl" in capsys.readouterr().out


def test_show_prints_settings_and_card(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "llama-2-7b-chat") == 0
    shown = capsys.readouterr().out
    assert "meta-llama/Llama-2-7b-chat-hf" in shown
    assert "2,000,000,000,000" in shown
    assert "31.22 t CO2eq" in shown


def test_show_as_json_holds_every_field(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("show", "gpt2", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["trust_remote_code"] is False
    assert shown["card"]["release_date"] == "2019-02-14"


def test_show_prints_square_brackets_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "mine", "--path", "./ckpt", "--description", "a [bold]claim[/bold]")
    run("show", "mine")
    assert "a [bold]claim[/bold]" in capsys.readouterr().out


def test_show_of_an_unknown_name_fails(here: Path) -> None:
    with pytest.raises(ModelError, match="did you mean `gpt2-xl`"):
        run("show", "gpt2-xxl")


def test_an_added_model_is_found_by_its_name(here: Path) -> None:
    assert run("add", "mine", "--path", "./ckpt", "--family", "f: x", "--set", "card.parameters=12") == 0
    spec = resolve_model("mine")
    assert spec.path == str((here / "ckpt").resolve())
    assert (spec.card.family, spec.card.parameters) == ("f: x", 12)


@pytest.mark.parametrize(
    "text", ["1e5", "null", "yes", "no", "- a", "a: b", "# c", "'", "ü\n2", "1.0", "[x]", "~", "true"]
)
def test_any_text_comes_back_as_it_was(here: Path, text: str) -> None:
    run("add", "mine", "--path", "./ckpt", f"--description={text}")
    assert load_registered("mine").spec.card.description == text


def test_a_hub_id_is_kept(here: Path) -> None:
    run("add", "mine", "--path", "org/name", "--adapter", "./ckpt")
    spec = resolve_model("mine")
    assert (spec.path, spec.adapter) == ("org/name", str((here / "ckpt").resolve()))


def test_a_file_that_exists_is_not_overwritten(here: Path) -> None:
    run("add", "mine", "--path", "org/first")
    with pytest.raises(ModelError, match=r"exists already\n.*--force"):
        run("add", "mine", "--path", "org/second")
    assert resolve_model("mine").path == "org/first"


def test_force_overwrites(here: Path) -> None:
    run("add", "mine", "--path", "org/first")
    run("add", "mine", "--path", "org/second", "--force")
    assert resolve_model("mine").path == "org/second"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bad name", "--path", "org/x"), r"^NAME: name: .*'bad name'"),
        (("mine", "--path", "./gone"), r"^--path: there is no file or directory '\./gone'"),
        (("mine", "--path", "org/x", "--chat-template", "gone.jinja"), r"^--chat-template: there is no file"),
        (("mine", "--path", "org/x", "--dtype", "float99"), r"^--dtype: dtype: .*'float99'"),
        (("mine", "--path", "org/x", "--set", "card.licnce=MIT"), r"^--set card\.licnce: unknown field"),
        (("mine", "--path", "org/x", "--set", "oops"), r"^--set: 'oops' is not of the form"),
    ],
)
def test_a_mistake_names_its_flag_and_writes_nothing(here: Path, arguments: tuple[str, ...], message: str) -> None:
    from evalharness.errors import UserError

    with pytest.raises(UserError, match=message):
        run("add", *arguments)
    assert not (here / "configs").exists()


def test_a_folder_off_the_search_path_is_explained(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "mine", "--path", "org/x", "--to", "elsewhere")
    assert f"export EVALHARNESS_MODELS={here.resolve() / 'elsewhere'}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["add"]])
def test_every_help_ends_with_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*command, "--help")
    assert "Examples:\n  evalharness models " in capsys.readouterr().out


def test_no_heavy_library_is_loaded_to_list_models() -> None:
    program = (
        "import sys; from evalharness.model.registry import list_models; import evalharness.cli.models, evalharness.backend;"
        "list_models(); print([n for n in ('torch', 'transformers', 'datasets', 'pandas', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
