"""The examples for build servers: valid by the servers' own schemas, and every command is one that exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evalharness.cli.main import build_parser
from evalharness.errors import UserError
from evalharness.gate.config import find_config
from evalharness.yaml_source import read_yaml

FOLDER = Path(__file__).parents[2] / "examples" / "ci"
SCHEMAS = {
    "github/action.yml": "vendor.github-actions",
    "github/evaluate.yml": "vendor.github-workflows",
    "gitlab/gitlab-ci.yml": "vendor.gitlab-ci",
}
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.y*ml"))

every_file = pytest.mark.parametrize("name", FILES)


def read(name):
    return read_yaml(FOLDER / name, error=UserError).data


def steps(name):
    data = read(name)
    if name == "github/action.yml":
        return data["runs"]["steps"]
    return [step for job in data["jobs"].values() for step in job["steps"]]


def scripts(name):
    """Every shell script of a file."""
    if name.startswith("github"):
        return [step["run"] for step in steps(name) if "run" in step]
    if name.startswith("gitlab"):
        return [line for key in ("before_script", "script") for line in read(name)["gate"][key]]
    return [hook["entry"] for repo in read(name)["repos"] for hook in repo["hooks"]]


def commands(name):
    """The words of every call of evalharness, with a stand-in for each variable."""
    for script in scripts(name):
        for line in script.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words and words[0] == "evalharness":
                yield [re.sub(r"^\$\w+$", "value", word) for word in words[1:]]


def test_every_example_is_linted():
    assert set(FILES) == {*SCHEMAS, "pre-commit-config.yaml"}


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_an_example_fits_the_schema_of_its_server(name, schema):
    command = ["check_jsonschema", "--builtin-schema", schema, str(FOLDER / name)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@every_file
def test_every_command_of_an_example_is_one_of_ours(name):
    found = list(commands(name))
    assert found or "uses: ./.github/actions/evaluate" in (FOLDER / name).read_text()
    for words in found:
        if words[:2] == ["tasks", "validate"]:
            words = [*words, "tasks/a.yaml"]  # pre-commit adds the names of changed files
        assert build_parser().parse_args(words).handler


@every_file
def test_every_gate_that_an_example_names_exists(name):
    text = (FOLDER / name).read_text()
    named = set(re.findall(r"'(nightly|smoke|default)'|GATE: (\w+)|default: (default)", text))
    assert name == "pre-commit-config.yaml" or named
    for config in {each for group in named for each in group if each}:
        assert find_config(config).is_file()


@every_file
def test_every_script_is_valid_for_a_shell(name):
    for script in scripts(name):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("github")])
def test_no_expression_is_pasted_into_a_script(name):
    # a branch name in ${{ }} would run as code: https://docs.github.com/en/actions/reference/security/secure-use
    assert not [script for script in scripts(name) if "${{" in script]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("github")])
def test_a_step_uses_an_action_of_a_version_or_runs_a_script(name):
    for step in steps(name):
        assert ("uses" in step) != ("run" in step)
        assert "uses" not in step or "@" in step["uses"] or step["uses"].startswith("./")


def test_a_workflow_may_do_no_more_than_it_needs():
    assert read("github/evaluate.yml")["permissions"] == {"contents": "read", "pull-requests": "write"}


def test_the_comment_is_found_by_the_first_line_of_the_markdown():
    (comment,) = (step for step in steps("github/evaluate.yml") if step.get("name") == "Comment")
    assert 'MARKER="$(head -n 1 gate.md)"' in comment["run"]
    assert "startswith(env.MARKER)" in comment["run"]


def test_hooks_name_what_pre_commit_needs():
    for repo in read("pre-commit-config.yaml")["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            assert {"id", "name", "entry", "language", "files"} <= set(hook)
            re.compile(hook["files"])
