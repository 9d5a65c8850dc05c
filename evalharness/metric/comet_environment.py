"""The environment of COMET: unbabel-comet needs older versions of numpy and transformers than ours, and so a place of its own.

``evalharness setup comet`` makes it, or takes note of one that is there. Which python it is stands in
``<data folder>/comet.json``; the environment variable EVALHARNESS_COMET_PYTHON goes before that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evalharness.errors import MetricError
from evalharness.resources import data_home

COMMAND = "evalharness setup comet"
VARIABLE = "EVALHARNESS_COMET_PYTHON"

#: setuptools: torchmetrics 0.10, which unbabel-comet demands, imports pkg_resources, and that left setuptools with version 82.
PACKAGES = ("unbabel-comet==2.2.7", "setuptools<81")

#: numpy 1, which unbabel-comet demands, has no wheels for later versions of Python.
_LATEST_PYTHON = (3, 12)

_IMPORT = "from comet import download_model, load_from_checkpoint"
_VERSION = "import importlib.metadata; print(importlib.metadata.version('unbabel-comet'))"
_START_SECONDS = 120.0


def comet_python() -> Path:
    """Return the python of COMET's environment; raises ValueError, naming the command that mends it, if there is none."""
    note = _note()
    if chosen := os.environ.get(VARIABLE):
        python, origin = Path(chosen).expanduser().absolute(), VARIABLE
    elif note.is_file():
        python, origin = Path(json.loads(note.read_text(encoding="utf-8"))["python"]), str(note)
    else:
        raise ValueError(f"the environment that COMET needs beside ours is not there; run `{COMMAND}` once")
    if not (python.is_file() and os.access(python, os.X_OK)):
        raise ValueError(f"{python}, which {origin} names, is no program; run `{COMMAND}`")
    return python


@lru_cache(maxsize=8)
def comet_version(python: Path) -> str:
    """Return the version of unbabel-comet beside `python`; raises ValueError if there is none, or no such python."""
    try:
        done = _run([python, "-I", "-c", _VERSION])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"{python} does not start: {error}; run `{COMMAND}`") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(f"{python} has no unbabel-comet ({last}); run `{COMMAND}`")
    return done.stdout.strip()


def register_environment(place: Path) -> Path:
    """Take note of an environment that is there, and return its python.

    place: its folder, or its python. Raises MetricError unless unbabel-comet can be imported there.
    """
    python = (place / "bin" / "python" if place.is_dir() else place).absolute()  # a link says which environment it is
    fix = "name the folder of a virtual environment, or its python"
    if not python.is_file():
        raise MetricError.at(place, f"there is no {python}" if place.is_dir() else "no such file or folder", fix)
    try:
        found = comet_version(python)
        done = _run([python, "-I", "-c", _IMPORT])
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise MetricError.at(place, str(error), fix) from error
    if done.returncode != 0:
        what = f"unbabel-comet {found} cannot be imported:\n{last_lines(done.stderr)}"
        raise MetricError.at(place, what, f"install {' '.join(map(repr, PACKAGES))} there")
    note = _note()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_suffix(".new")
        fresh.write_text(json.dumps({"python": str(python), "unbabel_comet": found}) + "\n", encoding="utf-8")
        fresh.replace(note)
    except OSError as error:
        fix = "choose a folder that you may write to with EVALHARNESS_DATA_HOME"
        raise MetricError.at(note, f"cannot be written: {error.strerror or error}", fix) from error
    return python


def create_environment(folder: Path | None, python: Path | None, tell: Callable[[str], None]) -> Path:
    """Make a virtual environment with unbabel-comet in `folder`, take note of it, and return its python.

    folder: None for ``<data folder>/comet``. python: what makes it, None for this one or, where numpy 1 has no wheels for it,
    another on the path. tell: hears of every step; pip shows its own progress. What was made is removed if a step fails.
    Raises MetricError.
    """
    folder = (folder or data_home() / "comet").expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fix = f"remove it, choose another --to DIR, or register what it holds: {COMMAND} --from {folder}"
        raise MetricError.at(folder, "the folder is not empty", fix)
    maker = python or _fitting_python()
    inner = folder / "bin" / "python"
    try:
        tell(f"making a virtual environment in {folder} with {maker}")
        _must([maker, "-m", "venv", folder], f"{maker} cannot make a virtual environment")
        torch = _install_torch(inner, tell)
        tell(f"installing {' '.join(PACKAGES)}")
        _must([*_pip(inner), *PACKAGES, *torch], f"pip could not install {PACKAGES[0]}")
        tell("importing unbabel-comet")
        return register_environment(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def last_lines(text: str, n: int = 6) -> str:
    """Return the last lines of what a program said, indented."""
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-n:]) or "    (it said nothing)"


def _note() -> Path:
    return data_home() / "comet.json"


def _fitting_python() -> Path:
    if sys.version_info[:2] <= _LATEST_PYTHON:
        return Path(sys.executable)
    for minor in range(_LATEST_PYTHON[1], 8, -1):
        if found := shutil.which(f"python3.{minor}"):
            return Path(found)
    what = f"unbabel-comet needs Python {'.'.join(map(str, _LATEST_PYTHON))} or earlier, and none is on the path"
    raise MetricError.at(COMMAND, what, "install one, and name it with --python")


def _install_torch(python: Path, tell: Callable[[str], None]) -> Sequence[str]:
    """Install the same torch as ours where it can be had, and return it as a requirement.

    Left to itself, pip takes torch's largest build, with CUDA, on machines that have no use for it.
    """
    for build, index in _torch_builds():
        tell(f"installing torch {build}" + (f" from {index}" if index else ""))
        if _succeeds([*_pip(python), f"torch=={build}", *(["--index-url", index] if index else [])]):
            return [f"torch=={build}"]
        tell(f"torch {build} is not to be had there")
    return []


def _torch_builds() -> Iterator[tuple[str, str | None]]:
    """Yield versions of torch to try, each with the index to take it from: our build, then our version in any build."""
    try:
        ours = version("torch")
    except PackageNotFoundError:
        return
    public, _, build = ours.partition("+")
    if build:
        yield ours, None
        yield ours, f"https://download.pytorch.org/whl/{build}"
    yield public, None


def _pip(python: Path) -> list[str]:
    return [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]


def _succeeds(command: Sequence[str | Path]) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0  # noqa: S603


def _must(command: Sequence[str | Path], what: str) -> None:
    try:
        if _succeeds(command):
            return
    except OSError as error:
        raise MetricError.at(COMMAND, f"{what}: {error.strerror or error}", "name another --python") from error
    fix = f"see above; or make an environment yourself and register it: {COMMAND} --from DIR"
    raise MetricError.at(COMMAND, what, fix)


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the person names the interpreter
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_START_SECONDS, check=False
    )
