"""Small tasks that the tests of this folder write and load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evalharness.run.preparation import PreparedTask, RunSettings, prepare
from evalharness.task.loading import LoadedTask, load_task

BASE: dict[str, Any] = {
    "data": {"inline": {"test": [{"q": "2 + 2", "a": "4"}, {"q": "1 + 1", "a": "2"}]}},
    "prompt": "Q: {{ q }}\nA:",
    "reference": "{{ a }}",
    "output": {"generate": {"max_new_tokens": 8}},
}


def write_task(folder: Path, name: str = "sums", *, without: tuple[str, ...] = (), **changes: Any) -> Path:
    """Write a task file: the small one above with changes."""
    content = {"name": name, **BASE, **changes}
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({key: content[key] for key in content if key not in without}, sort_keys=False))
    return path


def loaded(folder: Path, name: str = "sums", **changes: Any) -> LoadedTask:
    return load_task(write_task(folder, name, **changes))


def prepared(folder: Path, *, chat: bool = False, **changes: Any) -> PreparedTask:
    return prepare(loaded(folder, **changes), RunSettings(), chat=chat)


def requests_of(task: PreparedTask) -> list[Any]:
    return list(task.first_requests())
