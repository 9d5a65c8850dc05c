"""Flags of lm-evaluation-harness: those that mean the same are obeyed, the others name what to write instead."""

import pytest
import yaml

from evalharness.cli.main import main
from evalharness.run.store import ResultStore

SUMS = """\
name: sums
data: {inline: [{q: "1 + 1", a: "2"}, {q: "2 + 2", a: "4"}]}
prompt: "{{ q }} ="
reference: "{{ a }}"
output: {generate: {max_new_tokens: 4}}
"""
PARITY = """\
name: parity
data: {inline: [{n: 1, a: 1}, {n: 2, a: 0}]}
prompt: "{{ n }} is"
choices: [even, odd]
reference_index: "{{ a }}"
output: choose
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "sums.yaml").write_text(SUMS)
    (tmp_path / "parity.yaml").write_text(PARITY)
    (tmp_path / "model.yaml").write_text("name: model\nbackend: fake\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, model=("--model", "model.yaml"), tasks="sums.yaml"):
    return main(["run", *model, "--tasks", tasks, *arguments])


def only_record():
    (entry,) = ResultStore("results").runs()
    return entry.record


def test_model_hf_with_model_args_is_the_model_with_its_fields(here):
    given = (
        "--model",
        "hf",
        "--model_args",
        "pretrained=model.yaml,dtype=float32,max_length=512,trust_remote_code=True",
    )
    assert run(model=given) == 0
    spec = only_record().model.spec
    assert (spec["dtype"], spec["context_tokens"], spec["trust_remote_code"]) == ("float32", 512, True)


def test_gen_kwargs_change_the_tasks_that_generate_and_no_other(here, capsys):
    given = ("--gen_kwargs", "temperature=0.7,max_gen_toks=9,do_sample=True", "--dry-run")
    assert run(*given, tasks="sums.yaml,parity.yaml") == 0
    assert run("--gen_kwargs", "max_gen_toks=9", tasks="sums.yaml,parity.yaml") == 0
    record = only_record()
    assert [task.name for task in record.tasks] == ["sums", "parity"]
    assert "--gen-kwargs" in record.command


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("temperature=0.7,top_p=0.9,do_sample=True", {"temperature": 0.7, "top_p": 0.9}),
        ("max_gen_toks=9,do_sample=false", {"max_new_tokens": 9, "temperature": 0.0}),
        ('{"until": ["\\n", "Q:"], "num_beams": 2}', {"stop": ["\n", "Q:"], "beams": 2}),
    ],
)
def test_gen_kwargs_are_fields_of_the_generation(here, text, expected):
    assert run("--gen_kwargs", text, "--no-resume") == 0
    wanted = here / "expected"
    wanted.mkdir()
    changed = yaml.safe_load(SUMS)
    changed["output"]["generate"].update(expected)
    (wanted / "sums.yaml").write_text(yaml.safe_dump(changed))
    assert run("--output", "expected", tasks="expected/sums.yaml") == 0
    (entry,) = ResultStore("expected").runs()
    assert only_record().tasks[0].fingerprint == entry.record.tasks[0].fingerprint


def test_what_is_always_so_is_accepted(here):
    assert run("--batch_size", "auto", "--log_samples", "--fewshot_as_multiturn", "--num_fewshot", "0") == 0


def test_apply_chat_template_is_the_models_own_template(here):
    assert run("--apply_chat_template") == 0
    assert only_record().model.spec["chat_template"] == "own"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch_size", "8"), "--batch-tokens N"),
        (("--apply_chat_template", "tool_use"), "--chat-template FILE"),
        (("--apply_chat_template", "--chat-template", "none"), "contradicts --chat-template none"),
        (("--fewshot_as_multiturn", "False"), "always turns of their own"),
        (("--model_args", "pretrained=x"), "belongs to one --model hf"),
        (("--gen_kwargs", "temperature"), "is not of the form k=v"),
        (("--gen_kwargs", "min_p=0.1"), "min_p: not to be said in this way here"),
        (("--gen_kwargs", "do_sample=true"), "add temperature=1.0"),
        (("--gen_kwargs", "do_sample=false,temperature=1"), "do_sample=false contradicts temperature=1"),
        (("--gen_kwargs", "top_p=0.5"), "(after --gen_kwargs output.generate.top_p)"),
    ],
)
def test_what_does_not_mean_the_same_says_what_to_write(here, capsys, arguments, words):
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err
    assert ResultStore("results").runs() == []


@pytest.mark.parametrize(
    ("model_args", "words"),
    [
        ("dtype=float32", "there is no pretrained=MODEL"),
        ("pretrained=model.yaml,parallelize=True", "parallelize: not to be said in this way here"),
    ],
)
def test_model_args_that_have_no_equal_are_refused(here, capsys, model_args, words):
    assert run(model=("--model", "hf", "--model_args", model_args)) == 2
    assert words in capsys.readouterr().err


def test_a_kind_of_model_without_a_model_is_refused_with_the_way_to_say_it(here, capsys):
    assert run(model=("--model", "hf")) == 2
    assert "write -m PATH" in capsys.readouterr().err


def test_gen_kwargs_without_a_task_that_generates_are_refused(here, capsys):
    assert run("--gen_kwargs", "temperature=0.5", tasks="parity.yaml") == 2
    assert "none of the tasks generates" in capsys.readouterr().err
