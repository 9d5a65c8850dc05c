"""``evalharness tasks``: list, show, validate and preview, as a person or a script sees them."""

import json
import subprocess
import sys

import pytest
import yaml

from evalharness.cli.main import main

ROWS = [{"q": "1 + 1", "a": "2"}, {"q": "2 + 2", "a": "4"}]
SUMS = {
    "name": "sums",
    "description": "Small sums.",
    "data": {"inline": ROWS},
    "prompt": "{{ q }} =",
    "reference": "{{ a }}",
    "output": {"generate": {"max_new_tokens": 4}},
}


def write(folder, name="sums", **changes):
    content = {key: value for key, value in {**SUMS, "name": name, **changes}.items() if value is not None}
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    write(tmp_path / "tasks", "my_sums")
    write(tmp_path / "tasks", "my_choice", output="choose", choices=["2", "4"])
    (tmp_path / "tasks/mine.yaml").write_text(
        "group: mine\ntasks: ['my_*']\naggregate: macro\ndescription: All mine.\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALHARNESS_TASKS", raising=False)
    return tmp_path


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_as_json_has_one_object_a_line(here, capsys):
    assert main(["tasks", "list", "m*", "--json"]) == 0
    shown = {row["name"]: row for row in lines(capsys) if row["name"] in ("mine", "my_choice", "my_sums")}
    assert shown == {
        "mine": {"name": "mine", "kind": "group of 1", "metric": "macro", "description": "All mine."},
        "my_choice": {"name": "my_choice", "kind": "choose", "metric": "accuracy", "description": "Small sums."},
        "my_sums": {"name": "my_sums", "kind": "generate", "metric": "exact_match", "description": "Small sums."},
    }


def test_a_bare_list_shows_groups_without_their_members(here, capsys):
    assert main(["tasks", "list", "--json"]) == 0
    bare = {row["name"] for row in lines(capsys)}
    assert {"mine", "mmlu", "gsm8k"} <= bare
    assert not bare & {"my_sums", "my_choice", "mmlu_anatomy", "mmlu_stem"}
    assert main(["tasks", "list", "--all", "--json"]) == 0
    assert {"my_sums", "my_choice", "mmlu_anatomy", "mmlu_stem"} <= {row["name"] for row in lines(capsys)}


def test_a_bare_list_says_how_many_it_leaves_out(here, capsys):
    assert main(["tasks", "list"]) == 0
    assert "members of groups are left out" in capsys.readouterr().err


def test_list_tells_of_a_broken_task_and_still_lists_the_others(here, capsys):
    write(here / "tasks", "my_broken", nonsense=1)
    assert main(["tasks", "list", "my_*", "--json"]) == 2
    said = capsys.readouterr()
    assert "my_sums" in said.out
    assert "my_broken.yaml:" in said.err


def test_list_tells_which_file_takes_the_place_of_which(here, capsys):
    write(here / "other", "my_sums")
    assert main(["tasks", "list", "my_*", "--tasks-dir", "other"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"{here / 'other/my_sums.yaml'} takes the place of {here / 'tasks/my_sums.yaml'}" in said


def test_list_of_nothing_names_the_nearest(here, capsys):
    assert main(["tasks", "list", "my_smus"]) == 2
    assert "did you mean `my_sums`?" in capsys.readouterr().err


def test_show_gives_all_defaults_as_yaml_that_loads_again(here, capsys):
    assert main(["tasks", "show", "my_sums"]) == 0
    shown = capsys.readouterr().out
    assert "# fingerprint " in shown
    content = yaml.safe_load(shown)
    assert content["shots"]["separator"] == "\n\n"
    assert [metric["name"] for metric in content["metrics"]] == ["exact_match"]
    (here / "again").mkdir()
    (here / "again/my_sums.yaml").write_text(shown)
    assert main(["tasks", "show", "again/my_sums.yaml"]) == 0
    assert "# fingerprint " in capsys.readouterr().out


def test_show_knows_groups(here, capsys):
    assert main(["tasks", "show", "mine"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["tasks"] == ["my_*"]


KINDS = {
    "generate": ({}, {"kind", "prompt", "generation"}),
    "choose": ({"output": "choose", "choices": ["2", "4"]}, {"kind", "prompt", "continuation"}),
    "score": ({"output": "score"}, {"kind", "prompt", "continuation"}),
    "perplexity": ({"output": "perplexity", "reference": None}, {"kind", "prompt", "windows"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_preview_as_json_shows_every_request_of_every_kind(here, capsys, kind):
    changes, keys = KINDS[kind]
    write(here, **changes)
    assert main(["tasks", "preview", "sums.yaml", "--json"]) == 0
    shown = lines(capsys)
    assert len(shown) == (4 if kind == "choose" else 2)
    assert all(set(row) == keys | {"task", "document_id", "slot", "repeat"} for row in shown)
    assert shown[0]["prompt"] == "1 + 1 ="


@pytest.mark.parametrize("kind", KINDS)
def test_preview_for_people_shows_the_prompt_of_every_kind(here, capsys, kind):
    write(here, **KINDS[kind][0])
    assert main(["tasks", "preview", "sums.yaml", "--limit", "1"]) == 0
    shown = capsys.readouterr().out
    assert "1 + 1 =" in shown
    assert "2 + 2 =" not in shown


def test_preview_of_steps_marks_what_only_a_model_knows(here, capsys):
    steps = [
        {"name": "think", "prompt": "{{ q }}?", "output": "generate"},
        {"name": "say", "prompt": " {{ steps.think.answer }}.", "output": "generate", "continues": True},
    ]
    write(here, prompt=None, output=None, steps=steps)
    assert main(["tasks", "preview", "sums.yaml", "--json", "--limit", "1"]) == 0
    assert [row["prompt"] for row in lines(capsys)] == [
        "1 + 1?",
        "1 + 1?<response of step think> <answer of step think>.",
    ]


def test_a_broken_character_is_shown_as_an_escape(here, capsys):
    """Lone surrogates cannot be written as UTF-8; they used to end the command with an internal error."""
    (here / "rows.jsonl").write_text('{"q": "\\ud800", "a": "x"}\n')
    write(here, data={"files": "rows.jsonl"})
    command = [sys.executable, "-m", "evalharness", "tasks", "preview", "sums.yaml", "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompt"] == "\ud800 ="


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"filters": ["last_number"], "reference": "{{ a }}.0"}, "itself scores 0 on exact_match"),
        ({"filters": []}, "the filters make ' 2' of it"),
        ({"output": {"generate": {"stop": ["2"]}}}, "itself scores 0 on exact_match"),
        ({"metrics": [{"name": "exact_match", "ignore_caps": True}], "filters": ["nonsense"]}, "nonsense"),
        ({"examples": [{"document": {"q": "1", "a": "2"}, "reference": "3"}]}, "should be ['3']"),
        ({"shots": {"count": 2, "documents": ROWS}}, "2 shots are wanted"),
    ],
)
def test_validate_finds_what_is_wrong_beyond_the_form(here, capsys, changes, words):
    path = write(here, **changes)
    assert main(["tasks", "validate", str(path)]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert f"{path}:" in said.err
    assert "sound" not in said.out


def test_validate_takes_groups_and_tells_of_each_task(here, capsys):
    assert main(["tasks", "validate", "mine"]) == 0
    assert capsys.readouterr().out.count(": sound (") == 2


def test_validate_without_data_reads_none(here, capsys):
    path = write(here, data={"files": "nowhere.jsonl"})
    assert main(["tasks", "validate", str(path), "--no-data"]) == 0
    assert main(["tasks", "validate", str(path)]) == 2


def test_a_reader_that_has_gone_is_no_error(here):
    """As with ``| head -1``: nothing on stderr, also where the text is shorter than the output's buffer."""
    command = [sys.executable, "-m", "evalharness", "tasks", "preview", "my_sums", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=30)
    assert (process.returncode, said) == (0, b"")


def test_a_reader_of_one_line_gets_it(here):
    rows = [{"q": "x" * 2000, "a": str(i)} for i in range(500)]
    write(here, data={"inline": rows})
    command = f"'{sys.executable}' -m evalharness tasks preview sums.yaml --json | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["document_id"] == "0"
