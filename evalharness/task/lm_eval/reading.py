"""YAML of lm-evaluation-harness: `include`, `!function`, and YAML 1.1 scalars, as its release 0.4.13 reads them.

Nothing is executed here: a `!function` becomes a `Function`, which `evalharness.task.lm_eval.hooks` resolves for those who
trust it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from evalharness.errors import TaskError

_BaseLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Keys at the left margin that only their files have, and keys that only ours have.
_THEIRS = re.compile(rb"^(?:task|include|output_type|dataset_path|doc_to_text|doc_to_target|class)\s*:", re.MULTILINE)
_OURS = re.compile(rb"^(?:name|tasks|suite|extends)\s*:", re.MULTILINE)

#: Keys that select tasks and are no part of one.
STRUCTURAL_KEYS = ("tag", "group", "task_list", "task_alias", "group_alias")


@dataclass(frozen=True, slots=True)
class Function:
    """A `!function module.name`, not yet imported. folder: of the YAML file that holds it."""

    reference: str
    folder: Path

    @property
    def file(self) -> Path | None:
        """The Python file beside the YAML that defines it, None where it can only come from an installed module."""
        module = self.reference.rpartition(".")[0]
        beside = (self.folder / f"{module.replace('.', '/')}.py").resolve()
        return beside if module and beside.is_file() else None

    def __str__(self) -> str:
        return f"!function {self.reference}"


@dataclass(frozen=True, slots=True)
class LmEvalConfig:
    """A task of lm-evaluation-harness after its includes were merged: its keys, and the file that it was written in."""

    path: Path
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.keys.get(key)

    def functions(self) -> list[Function]:
        """Return every hook that the task names, wherever it stands."""
        found: dict[str, Function] = {}

        def walk(value: Any) -> None:
            if isinstance(value, Function):
                found.setdefault(f"{value.folder}:{value.reference}", value)
            elif isinstance(value, Mapping):
                for item in value.values():
                    walk(item)
            elif isinstance(value, list):
                for item in value:
                    walk(item)

        walk(self.keys)
        return list(found.values())

    def digest(self) -> str:
        """Return a hex sha256 over the keys and the source text of the hooks, wherever the files lie."""
        digest = hashlib.sha256(repr(_plain({k: v for k, v in self.keys.items() if k not in STRUCTURAL_KEYS})).encode())
        for function in self.functions():
            source = function.file.read_bytes() if function.file else b""
            digest.update(f"\x1f{function.reference}\x1f{hashlib.sha256(source).hexdigest()}".encode())
        return digest.hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Function) else value


def is_lm_eval(path: Path) -> bool:
    """Say whether a YAML file is written for lm-evaluation-harness, by the keys at its left margin."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return bool(_THEIRS.search(text)) and not _OURS.search(text)


Templates = dict[Path, dict[str, Any]]


def read_config(path: Path, templates: Templates | None = None) -> dict[str, Any]:
    """Return the keys of a file over those of the files that it includes: top-level keys replace each other whole.

    templates: keeps included files, which thousands of tasks share. Raises TaskError that names the file: it is not there, no
    YAML, no mapping, or includes itself.
    """
    return _read(path.expanduser().resolve(), (), {} if templates is None else templates)


def _read(path: Path, chain: tuple[Path, ...], templates: Templates) -> dict[str, Any]:
    if path in chain:
        circle = " -> ".join(part.name for part in (*chain, path))
        raise TaskError.at(path, f"`include` goes in a circle: {circle}", "remove one of the links")
    if path in templates:
        return templates[path]
    keys = _parse(path)
    includes = keys.pop("include", None)
    merged: dict[str, Any] = {}
    for name in includes if isinstance(includes, list) else [includes] if includes is not None else []:
        included = (path.parent / str(name)).resolve()
        if not included.is_file():
            raise TaskError.at(path, f"`include` names {name!r}, which is not there", "correct the path")
        inherited = _read(included, (*chain, path), templates)
        templates[included] = inherited
        merged.update({key: value for key, value in inherited.items() if key != "task_list"})
    merged.update(keys)
    return merged


def _parse(path: Path) -> dict[str, Any]:
    try:
        keys = yaml.load(path.read_bytes(), Loader=_loader(path.parent))  # noqa: S506  # a safe loader with one tag more
    except OSError as fault:
        raise TaskError.at(path, f"cannot be read: {fault.strerror}", "correct the path") from None
    except (yaml.YAMLError, ValueError) as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        what = getattr(fault, "problem", None) or str(fault)
        raise TaskError.at(where, f"not valid YAML: {what}", "mend the file") from None
    if not isinstance(keys, dict):
        raise TaskError.at(path, "the file is not a mapping", "write `key: value` lines in it")
    return keys


def _loader(folder: Path) -> type[Any]:
    class Loader(_BaseLoader):  # type: ignore[misc]  # the C loader has no static type
        pass

    def function(loader: Any, node: Any) -> Function:
        return Function(str(loader.construct_scalar(node)), folder)

    Loader.add_constructor("!function", function)
    return Loader
