"""Provenance: enough to repeat a run, and never a secret or a program of a stranger's repository."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from evalharness.run.masking import mask_arguments, mask_json
from evalharness.run.provenance import checkpoint_git_state, collect, differences, peak_memory_bytes


@pytest.mark.parametrize(
    ("given", "masked"),
    [
        (["--api-key", "abc"], ("--api-key", "***")),
        (["--token=abc"], ("--token=***",)),
        (["--set", "backend.api_key=abc"], ("--set", "backend.api_key=***")),
        (["--hf-token", "abc", "--limit", "3"], ("--hf-token", "***", "--limit", "3")),
        (["hf_abcdefghijklmnop"], ("***",)),
        (["--set", "x=sk-abcdefghijklmnop"], ("--set", "x=***")),
        (["https://me:pw@host/v1?key=abc&n=2"], ("https://***@host/v1?key=***&n=2",)),
        (["--batch-tokens", "4096"], ("--batch-tokens", "4096")),
        (["--max-new-tokens=5"], ("--max-new-tokens=5",)),
        (["--tokenizer", "gpt2"], ("--tokenizer", "gpt2")),
        (["--set", "pad_token=<pad>"], ("--set", "pad_token=<pad>")),
    ],
)
def test_secrets_in_arguments_are_masked_and_nothing_else(given, masked):
    assert mask_arguments(given) == masked
    assert mask_arguments(masked) == masked


def test_secrets_in_json_are_masked_by_name_and_by_form():
    value = {"api_key": "abc", "n": [1, None, "hf_abcdefghijkl"], "inner": {"password": "x"}, "eos_token": "</s>"}
    assert mask_json(value) == {
        "api_key": "***",
        "n": [1, None, "***"],
        "inner": {"password": "***"},
        "eos_token": "</s>",
    }


def test_provenance_names_versions_without_the_host():
    found = collect(None)
    assert found.packages["numpy"] == version("numpy")
    assert platform.node() not in found.model_dump_json()


def test_collecting_loads_no_heavy_package():
    heavy = ["torch", "transformers", "numpy", "pyarrow"]
    program = (
        "import sys; from evalharness.run.provenance import collect; collect('.');"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


def _git(directory, *arguments):
    subprocess.run(
        ["git", "-C", str(directory), "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
        check=True,
        capture_output=True,
    )


def test_commit_of_the_checkpoint_is_recorded_without_running_its_programs(tmp_path):
    _git(tmp_path, "init")
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt" / "config.json").write_text("{}")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "x")
    for name in ("fsmonitor", "filter.evil.clean"):
        key = "core.fsmonitor" if name == "fsmonitor" else name
        _git(tmp_path, "config", key, f"touch {tmp_path}/executed; cat")
    (tmp_path / ".gitattributes").write_text("* filter=evil\n")
    state = checkpoint_git_state(tmp_path / "ckpt")
    assert state is not None
    assert len(state.commit) == 40
    assert not (tmp_path / "executed").exists()


def test_checkpoint_outside_any_work_tree_has_no_commit(tmp_path):
    assert checkpoint_git_state(tmp_path) is None


def test_hub_id_is_no_directory():
    assert checkpoint_git_state(Path("gpt2")) is None


def test_differences_name_what_changed():
    then = collect(None)
    now = then.model_copy(
        update={"packages": {**then.packages, "numpy": "1.0"}, "environment": {"OMP_NUM_THREADS": "7"}}
    )
    then = then.model_copy(update={"environment": {}})
    assert differences(then, now) == {"$OMP_NUM_THREADS": ("absent", "7"), "numpy": (version("numpy"), "1.0")}


def test_peak_memory_is_in_bytes():
    assert 10_000_000 < peak_memory_bytes() < 10**12
