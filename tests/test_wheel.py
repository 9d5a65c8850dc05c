"""The wheel carries tasks, configs and leaderboard, and works elsewhere without the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """Run a command of the installed wheel in an empty folder, with the source tree out of reach."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run, site


def test_the_wheel_carries_the_data_folders(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "tasks/demo/",
        "configs/models/",
        "configs/suites/demo.yaml",
        "configs/gates/default.yaml",
        "leaderboard/app.py",
        "leaderboard/.streamlit/config.toml",
        "leaderboard/methods.md",
        "leaderboard/snapshot/templates/style.css",
    ):
        assert any(name.startswith(f"evalharness/bundled/{wanted}") for name in names), wanted
    assert not [name for name in names if name.startswith(("tests/", "examples/", "benchmarks/"))]


def test_the_installed_wheel_runs_without_the_source_tree(elsewhere):
    run, site = elsewhere
    where = run("-c", "import evalharness; print(evalharness.__file__)")
    assert where.stdout.startswith(str(site)), where
    listed = run("-m", "evalharness", "tasks", "list", "demo*")
    assert listed.returncode == 0, listed.stderr
    assert "demo" in listed.stdout
    assert run("-m", "evalharness", "models", "show", "gpt2").returncode == 0
    done = run("-m", "evalharness", "run", "-m", "fake", "-t", "demo", "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert "stored in" in done.stdout
    exported = run("-m", "evalharness", "board", "export", "pages")
    assert exported.returncode == 0, exported.stderr
    valid = run("-m", "evalharness", "tasks", "validate", "demo")
    assert valid.returncode == 0, valid.stderr
