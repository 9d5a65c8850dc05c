"""Task files that are wrong: each is refused with exit code 2, naming file, line and cure, never with a traceback."""

import re

import pytest

from evalharness.cli.main import main

SOUND = """\
name: broken
data: {inline: [{question: "2 + 2?", answer: "4"}, {question: "1 + 1?", answer: "2"}]}
prompt: "Question: {{ question }}"
reference: "{{ answer }}"
output: {generate: {max_new_tokens: 8}}
"""


def changed(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new)


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
)

# name: (content, line of the fault, words of the message and its cure)
CASES = {
    "unknown key": (SOUND + "promt: x\n", 6, ["unknown field `promt`", "did you mean `prompt`?"]),
    "unknown nested key": (
        changed("max_new_tokens", "max_gen_toks"),
        5,
        ["unknown field `max_gen_toks` in output.generate", "max_new_tokens"],
    ),
    "wrong type": (changed("max_new_tokens: 8", "max_new_tokens: many"), 5, ["valid integer", "'many'"]),
    "negative number": (changed("max_new_tokens: 8", "max_new_tokens: -1"), 5, ["greater than 0", "-1"]),
    "template syntax": (changed("{{ question }}", "{{ question }"), 3, ["not a valid template"]),
    "unknown template filter": (changed("{{ question }}", "{{ question | shout }}"), 3, ["shout"]),
    "missing column": (
        changed("{{ question }}", "{{ questoin }}"),
        3,
        ["no column `questoin`", "did you mean `question`?"],
    ),
    "missing column in reference": (
        changed("{{ answer }}", "{{ anwser }}"),
        4,
        ["no column `anwser`", "did you mean `answer`?"],
    ),
    "template that escapes": (changed("{{ question }}", "{{ question.__class__.__mro__ }}"), 3, ["unsafe", "columns"]),
    "template that divides by zero": (
        changed("{{ question }}", "{{ 1 / 0 }}"),
        3,
        ["division by zero", "document `0`"],
    ),
    "unknown metric": (
        SOUND + "metrics: [exact_mach]\n",
        6,
        ["unknown metric `exact_mach`", "did you mean `exact_match`?"],
    ),
    "unknown metric parameter": (
        SOUND + "metrics: [{name: exact_match, ignore_caps: true}]\n",
        6,
        ["ignore_caps", "ignore_case"],
    ),
    "metric that does not fit": (SOUND + "metrics: [accuracy]\n", 6, ["cannot score output generate"]),
    "two metrics of one name": (SOUND + "metrics: [exact_match, exact_match]\n", 6, ["stands twice", "label"]),
    "unknown filter": (
        SOUND + "filters: [last_numbr]\n",
        6,
        ["unknown filter `last_numbr`", "did you mean `last_number`?"],
    ),
    "filter with a bad pattern": (SOUND + "filters: [{regex: {pattern: '(['}}]\n", 6, ["not a regular expression"]),
    "filter without its pattern": (SOUND + "filters: [regex]\n", 6, ["pattern"]),
    "two outputs": (
        changed("{max_new_tokens: 8}", "{}, choose: {}"),
        5,
        ["exactly one of generate, choose, score and perplexity"],
    ),
    "unknown output": (
        changed("{generate: {max_new_tokens: 8}}", "generat"),
        5,
        ["unknown field `generat`", "did you mean `generate`?"],
    ),
    "choose without choices": (changed("{generate: {max_new_tokens: 8}}", "choose"), 1, ["needs `choices:`"]),
    "reference that is no choice": (
        changed("{generate: {max_new_tokens: 8}}", "choose\nchoices: ['5', '6']"),
        4,
        ["not one of the choices", "reference_index"],
    ),
    "beams and sampling": (
        changed("max_new_tokens: 8", "beams: 2, temperature: 1.0"),
        5,
        ["exclude each other", "remove one"],
    ),
    "true for a number": (changed("max_new_tokens: 8", "max_new_tokens: true"), 5, ["valid integer", "True"]),
    "a vote of one": (
        SOUND + "filters: [majority_vote]\n",
        6,
        ["compares repeats", "set `repeats:`"],
    ),
    "windows with gaps": (
        changed("{generate: {max_new_tokens: 8}}", "{perplexity: {max_tokens: 8, stride: 16}}").replace(
            'reference: "{{ answer }}"\n', "\n"
        ),
        5,
        ["a stride of 16 skips tokens", "make it smaller"],
    ),
    "perplexity with a system text": (
        changed("{generate: {max_new_tokens: 8}}", "perplexity\nsystem: x").replace('reference: "{{ answer }}"\n', ""),
        1,
        ["scores the prompt alone", "remove `system:`"],
    ),
    "a list for a split": (changed("data: {", "data: {split: [a], "), 2, ["split", "valid string"]),
    "shots without a pool": (SOUND + "shots: {count: 2}\n", 1, ["nowhere to take them from", "data: {shots: train}"]),
    "more shots than documents": (
        changed("data: {", "shots: {count: 3}\ndata: {shots: test, "),
        2,
        ["3 shots are wanted", "ask for fewer"],
    ),
    "missing required field": (changed('reference: "{{ answer }}"\n', ""), 1, ["needs `reference:`"]),
    "no data": ("name: broken\nprompt: x\nreference: y\noutput: generate\n", 1, ["`data` is missing", "add `data:`"]),
    "two sources of data": (
        changed("data: {", "data: {path: org/name, "),
        2,
        ["exactly one of path, files, inline and synthetic"],
    ),
    "data file that is not there": (
        re.sub(r"data: .*", "data: {files: nowhere.jsonl}", SOUND),
        2,
        ["there is no file", "nowhere.jsonl", "relative to the task file"],
    ),
    "data file of unknown kind": (re.sub(r"data: .*", "data: {files: rows.xlsx}", SOUND), 2, ["rows.xlsx", ".jsonl"]),
    "split that is not there": (
        changed("data: {", "data: {split: test, shots: train, "),
        2,
        ["`train`", "splits there"],
    ),
    "two documents of one id": (SOUND + "id: same\n", 6, ["two documents have the id `same`"]),
    "extends itself": (SOUND + "extends: broken.yaml\n", 6, ["circle", "broken.yaml -> broken.yaml"]),
    "extends nothing": (SOUND + "extends: _base.yaml\n", 6, ["'_base.yaml', which is not there"]),
    "extends two": (SOUND + "extends: [a, b]\n", 6, ["must be one file name"]),
    "alias bomb": (f"{SOUND}{BOMB}\n", None, ["expands to more than", "remove the anchors"]),
    "anchor inside itself": (SOUND + "tags: &loop [*loop]\n", 6, ["nested too deeply", "anchor inside itself"]),
    "merge key": (SOUND + "base: &b {x: 1}\nshots: {<<: *b}\n", 7, ["merge keys", "extends:"]),
    "tab indentation": ("name: broken\ndata:\n\tinline: []\n", 3, ["not valid YAML", "indent with spaces"]),
    "unclosed quote": (changed('"Question: {{ question }}"', '"Question: {{ question }}'), None, ["not valid YAML"]),
    "unquoted braces": (changed('"Question: {{ question }}"', "{{ question }}"), 3, ["quote a template"]),
    "unquoted colon": (
        changed('"Question: {{ question }}"', "Question: {{ question }}"),
        3,
        ["not valid YAML", "quote text"],
    ),
    "key twice": (SOUND + "prompt: again\n", 6, ["`prompt` stands twice (first on line 3)"]),
    "a tag": (SOUND + "id: !function hooks.id\n", 6, ["tag `!function` is not allowed"]),
    "two YAML documents": (SOUND + "---\nname: other\n", 6, ["one YAML document a file"]),
    "empty file": ("", 1, ["the file is empty"]),
    "only a comment": ("# nothing here\n", 1, ["the file is empty"]),
    "a list": ("- name: broken\n", 1, ["a task file is a mapping", "a list"]),
    "binary file": (b"\x93NUMPY\x01\x00v\x00{'descr'", 1, ["not UTF-8 text"]),
    "control characters": (SOUND.encode() + b"id: \x07\n", 6, ["control character"]),
    "latin-1 text": (
        SOUND.encode() + "description: Grüße\n".encode("latin-1"),
        6,
        ["not UTF-8 text", "save the file as UTF-8"],
    ),
    "wrong file name": (changed("name: broken", "name: other"), 1, ["named `other`", "rename the file to other.yaml"]),
    "name with a slash": (changed("name: broken", "name: a/b"), 1, ["name", "pattern"]),
    "step that continues nothing": (
        "name: broken\ndata: {inline: [{a: b}]}\nreference: x\n"
        "steps: [{name: one, prompt: p, output: generate, continues: true}]\n",
        1,
        ["nothing to continue"],
    ),
    "several faults at once": (SOUND + "promt: x\nvresion: 2\nmetrics: 3\n", 6, ["`promt`", "`vresion`", "metrics"]),
}


@pytest.fixture(params=CASES, ids=[name.replace(" ", "-") for name in CASES])
def case(request, tmp_path):
    content, line, words = CASES[request.param]
    path = tmp_path / "broken.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path, line, words


@pytest.mark.parametrize("command", ["validate", "run"])
def test_malformed_task_is_refused_with_file_line_and_cure(case, command, capsys, tmp_path):
    path, line, words = case
    given = ["tasks", "validate", str(path)]
    if command == "run":
        given = ["run", "-m", "fake", "-t", str(path), "--output", str(tmp_path / "results")]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert f"{path}:" in said if line is None else f"{path}:{line}:" in said
    for word in words:
        assert word in said
    assert not (tmp_path / "results").exists(), "nothing may be stored for a task that was refused"


def test_the_sound_task_is_sound(tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text(SOUND)
    assert main(["tasks", "validate", str(path)]) == 0
    assert "2 documents" in capsys.readouterr().out


def test_there_are_at_least_thirty_cases():
    assert len(CASES) >= 30


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"q": 1}\n{"q": \n', ["a.jsonl:2", "not valid JSON"]),
        ("a.jsonl", "[1, 2]\n", ["a.jsonl:1", "must be an object"]),
        ("a.jsonl", "", ["no documents"]),
        ("a.json", '{"q": 1}', ["must hold a list"]),
        ("a.csv", "q,r\n1,2,3\n", ["a.csv:2", "number of cells"]),
        ("a.parquet", "PAR1 truncated", ["not a readable Parquet file"]),
    ],
)
def test_malformed_data_names_its_file_and_cure(name, content, words, tmp_path, capsys):
    (tmp_path / name).write_text(content)
    path = tmp_path / "broken.yaml"
    path.write_text(re.sub(r"data: .*", f"data: {{files: {name}}}", SOUND))
    assert main(["tasks", "validate", str(path)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    for word in words:
        assert word in said
