"""YAML as it is read here: the 1.2 core schema, positions of everything, and caps against files that explode."""

import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.errors import TaskError
from evalharness.yaml_source import MAX_DEPTH, MAX_FILE_BYTES, YamlSource, read_yaml


def parsed(tmp_path: Path, content: str | bytes) -> YamlSource:
    path = tmp_path / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path, error=TaskError)


def refused(tmp_path, content):
    with pytest.raises(TaskError) as caught:
        parsed(tmp_path, content)
    (problem,) = caught.value.problems
    assert problem.fix
    return problem


# YAML 1.2.2, section 10.3.2, where PyYAML's 1.1 differs; hexadecimal and octal numbers, .inf and .nan stay text on purpose.
SCALARS = [
    ("no", "no"),
    ("yes", "yes"),
    ("on", "on"),
    ("off", "off"),
    ("NO", "NO"),
    ("y", "y"),
    ("true", True),
    ("True", True),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("nUll", "nUll"),
    ("'~'", "~"),
    ("1e-3", 0.001),
    ("1E5", 100000.0),
    (".5", 0.5),
    ("1.", 1.0),
    ("1.10", 1.1),
    ("012", 12),
    ("+7", 7),
    ("-0", 0),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("2024-01-05", "2024-01-05"),
    ("2024-01-05T10:00:00Z", "2024-01-05T10:00:00Z"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("'5'", "5"),
    ('"no"', "no"),
    ("=", "="),
    ("1.2.3", "1.2.3"),
    ("--", "--"),
]


@pytest.mark.parametrize(("written", "value"), SCALARS)
def test_a_scalar_has_its_core_schema_value(tmp_path, written, value):
    found = parsed(tmp_path, f"a: {written}\n").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_list_of_yes_and_no_is_a_list_of_texts(tmp_path):
    assert parsed(tmp_path, "choices: [yes, no, on, off]").data == {"choices": ["yes", "no", "on", "off"]}


def test_the_pure_python_loader_reads_the_same(tmp_path):
    """PyYAML without libyaml has another base class; run in a process of its own, where the C loader is not there."""
    code = (
        "import yaml; del yaml.CSafeLoader\n"
        "from pathlib import Path; from evalharness.errors import TaskError; from evalharness.yaml_source import read_yaml\n"
        f"print(read_yaml(Path({str(tmp_path / 'file.yaml')!r}), error=TaskError).data)"
    )
    expected = parsed(tmp_path, "a: [no, 1e-3, 012, 2024-01-05, 1:30, ~, .5]\nb:\n").data
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == repr(expected)


def test_byte_order_mark_and_windows_line_ends_are_read_over(tmp_path):
    source = parsed(tmp_path, b"\xef\xbb\xbfname: x\r\nshots:\r\n  count: 2\r\n")
    assert source.data == {"name": "x", "shots": {"count": 2}}
    assert source.where(("shots", "count")).endswith("file.yaml:3")


def test_every_key_and_item_knows_its_line(tmp_path):
    source = parsed(tmp_path, "a:\n  - b: 1\n    c:\n      - 2\n      - 3\nd: {e: 4}\n")
    lines = {("a",): 1, ("a", 0): 2, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 0, "c", 1): 5, ("d", "e"): 6}
    assert {place: int(source.where(place).rsplit(":", 1)[1]) for place in lines} == lines


def test_an_unknown_place_is_reported_at_its_nearest_ancestor(tmp_path):
    source = parsed(tmp_path, "a:\n  b: 1\n")
    assert source.where(("a", "missing")).endswith(":1")
    assert source.where(("a", "tuple[int]", "b")).endswith(":2"), "pydantic names the members of unions"


def test_a_duplicate_key_names_both_lines(tmp_path):
    problem = refused(tmp_path, "a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert problem.where.endswith(":4")
    assert "`b` stands twice (first on line 2)" in problem.what


def test_keys_that_differ_only_in_quotes_are_the_same_key(tmp_path):
    assert "stands twice" in refused(tmp_path, "a: 1\n'a': 2\n").what


@pytest.mark.parametrize("content", ["{1: a, b: c}", "{b: c, 1: a}", "{~: a}", "{true: a}", "{1: a, '1': b}"])
def test_keys_that_cannot_be_told_apart_as_text_are_refused(tmp_path, content):
    assert "keys are texts, or numbers" in refused(tmp_path, f"a: {content}\n").what


@pytest.mark.parametrize("value", ["!!int abc", "!!int 5", "!!str 5", "!!binary aGk=", "!!set {a}", "!local x", "! 5"])
def test_every_tag_is_refused(tmp_path, value):
    problem = refused(tmp_path, f"a: b\nc: {value}\n")
    assert "tag `" in problem.what
    assert problem.where.endswith(":2")


def test_a_number_beyond_floating_point_is_refused(tmp_path):
    assert "too large" in refused(tmp_path, "a: 1e400\n").what


def test_a_number_of_five_thousand_digits_is_refused(tmp_path):
    assert "digits" in refused(tmp_path, f"a: {'9' * 5000}\n").what


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "], ids=["list", "mapping", "dashes"])
def test_a_hundred_thousand_levels_are_refused_without_a_stack_overflow(tmp_path, opening):
    """The C composer recurses: 200,000 open brackets used to kill the process with a segmentation fault."""
    assert "nested too deeply" in refused(tmp_path, opening * 100_000).what


def test_as_many_levels_as_allowed_are_read(tmp_path):
    n = MAX_DEPTH - 1
    assert parsed(tmp_path, f"{'[' * n}{']' * n}").data


def test_anchors_may_share_values_within_the_cap(tmp_path):
    assert parsed(tmp_path, "a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


def test_a_file_over_the_size_cap_is_not_even_parsed(tmp_path):
    problem = refused(tmp_path, b"a: [" + b"x" * MAX_FILE_BYTES)
    assert "too many for a YAML file" in problem.what
    assert ".jsonl" in problem.fix


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(TaskError, match="cannot be read"):
            read_yaml(path, error=TaskError)
