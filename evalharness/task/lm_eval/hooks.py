"""Python functions of task files, imported only where a person trusts them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalharness.errors import Problem, TaskError
from evalharness.task.lm_eval.reading import Function, LmEvalConfig

_PACKAGE = "/lm_eval/tasks/"


def resolved(config: LmEvalConfig, *, trusted: bool) -> dict[str, Any]:
    """Return a task's keys with every hook replaced by the Python object that it names.

    Raises TaskError that names every file and function if the task has hooks and they are not trusted, or cannot be imported.
    """
    functions = config.functions()
    if functions and not trusted:
        fix = "add --trust-task-code if you trust what these files do"
        raise TaskError(
            Problem(str(config.path), f"the task runs `{function.reference}` of {function.file or 'a package'}", fix)
            for function in functions
        )
    found = {(function.folder, function.reference): _imported(function, config.path) for function in functions}

    def replaced(value: Any) -> Any:
        if isinstance(value, Function):
            return found[value.folder, value.reference]
        if isinstance(value, Mapping):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list) else value

    return {key: replaced(value) for key, value in config.keys.items()}


def _imported(function: Function, path: Path) -> Any:
    name = function.reference.rpartition(".")[2]
    try:
        if function.file is not None:
            module = _module_at(function.file)
        else:
            module = importlib.import_module(function.reference.rpartition(".")[0])
    except Exception as fault:  # noqa: BLE001  # foreign code, which may raise anything
        what = f"`{function.reference}` cannot be imported: {type(fault).__name__}: {fault}"
        fix = "install what it imports; tasks of the lm-eval package need `pip install 'evalharness[lm-eval]'`"
        raise TaskError.at(function.file or path, what, fix) from None
    if not hasattr(module, name):
        raise TaskError.at(function.file or path, f"there is no function `{name}`", "correct the `!function`")
    return getattr(module, name)


def _module_at(file: Path) -> Any:
    """Import a file by its path; one of the package under its own name, so that its modules import each other."""
    text = file.as_posix()
    at = text.find(_PACKAGE)
    name = f"lm_eval.tasks.{text[at + len(_PACKAGE) : -3].replace('/', '.')}" if at >= 0 else text[:-3]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    with _beside(file.parent):
        spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Write no compiled files beside a person's tasks."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
