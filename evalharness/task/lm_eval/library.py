"""Tasks of lm-evaluation-harness by name: tasks, groups with what they override, tags, globs, files."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalharness.errors import Problem, TaskError, suggest
from evalharness.task.lm_eval.index import Entry, Index, index_of
from evalharness.task.lm_eval.reading import LmEvalConfig, Templates, read_config
from evalharness.task.lm_eval.translate import load_config
from evalharness.task.loading import Loaded, LoadedGroup, LoadedTask
from evalharness.task.spec import GroupSpec
from evalharness.yaml_source import YamlSource, validated

_GROUP_KEYS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag", "include")


class LmEvalLibrary:
    """The names of several folders, later ones taking precedence."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self.roots = roots
        indices: list[Index] = [index_of(root) for root in roots]
        self.entries: dict[str, Entry] = {}
        for index in indices:
            self.entries.update(index.entries)
        self.faults: Mapping[str, str] = {path: why for index in indices for path, why in index.faults.items()}
        self._templates: Templates = {}

    def find(self, selector: str) -> Iterator[Loaded]:
        """Yield what a name or a glob over names means; a tag means its tasks.

        Raises TaskError for an unknown name, with what is wrong with files that could not be read.
        """
        if any(character in selector for character in "*?["):
            names = fnmatch.filter(sorted(self.entries), selector)
            chosen = [self.entries[name] for name in names if self.entries[name].kind in ("task", "class")]
            if chosen:
                yield from _all(self._loaded(entry, {}) for entry in chosen)
                return
        if selector not in self.entries:
            problems = [
                Problem("--tasks", f"lm-eval has no task, group or tag `{selector}`", self._suggestion(selector))
            ]
            problems += [Problem(path, why) for path, why in self.faults.items()]
            raise TaskError(problems)
        yield from self._members(selector, {})

    def _suggestion(self, name: str) -> str:
        return suggest(name, self.entries, noun="names", limit=5)

    def _members(self, name: str, overrides: Mapping[str, Any]) -> Iterator[Loaded]:
        entry = self.entries[name]
        if entry.kind == "tag":
            for member in entry.members:
                yield self._loaded(self.entries[member], overrides)
        else:
            yield self._loaded(entry, overrides)

    def _loaded(self, entry: Entry, overrides: Mapping[str, Any]) -> Loaded:
        path = Path(str(entry.path))
        keys = read_config(path, self._templates)
        if entry.kind == "group":
            return self.group(path, entry.name, keys, overrides)
        return load_config(LmEvalConfig(path, {**keys, **overrides}))

    def file(self, path: Path) -> Loaded:
        """Return the task or group of a file."""
        keys = read_config(path, self._templates)
        if "group" in keys and "class" not in keys:
            return self.group(path, str(keys["group"]), keys, {})
        if "task" not in keys:
            raise TaskError.at(path, "the file names no `task` and no `group`", "it is a template for `include`")
        return load_config(LmEvalConfig(path, keys))

    def group(self, path: Path, name: str, keys: Mapping[str, Any], overrides: Mapping[str, Any]) -> LoadedGroup:
        """Return a group with its members, to which other keys of the group and of its parents are handed down."""
        handed = {**{key: value for key, value in keys.items() if key not in _GROUP_KEYS}, **overrides}
        listed = keys.get("task")
        members: list[Loaded] = []
        problems: list[Problem] = []
        for item in [listed] if isinstance(listed, str) else listed or []:
            try:
                members += self._member(path, name, item, handed)
            except TaskError as fault:
                problems += fault.problems
        if not members and not problems:
            problems.append(Problem(str(path), f"group `{name}` has no tasks", "list them under `task:`"))
        if problems:
            raise TaskError(problems)
        data = {
            "group": _plain_name(name),
            "description": str(keys.get("group_alias") or ""),
            "tasks": [member.name for member in members],
            "means": _means(keys.get("aggregate_metric_list")),
        }
        source = YamlSource(path, data, {})
        return LoadedGroup(validated(source, GroupSpec, error=TaskError, noun="group file"), source, tuple(members))

    def _member(self, path: Path, parent: str, item: Any, handed: Mapping[str, Any]) -> Iterator[Loaded]:
        if isinstance(item, Mapping) and "group" in item and item["group"] not in self.entries:
            yield self.group(path, f"{parent}::{item['group']}", item, handed)
            return
        given = dict(item) if isinstance(item, Mapping) else {"task": item}
        name = str(given.pop("group", None) or given.pop("task", None))
        given.pop("task", None)
        if name in self.entries:
            yield from self._members(name, {**handed, **given})
        elif isinstance(item, Mapping) and len(given) > 1:
            yield load_config(LmEvalConfig(path, {**handed, **given, "task": f"{parent}::{name}"}))
        else:
            raise TaskError.at(path, f"group `{parent}` names `{name}`, which is not there", self._suggestion(name))


def _all(found: Iterator[Loaded]) -> Iterator[Loaded]:
    """Yield all, or raise the problems of all together."""
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    while True:
        try:
            loaded.append(next(found))
        except StopIteration:
            break
        except TaskError as fault:
            problems += fault.problems
    if problems:
        raise TaskError(problems)
    yield from loaded


def _plain_name(name: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name).lstrip("._+-")


def _means(listed: Any) -> list[dict[str, Any]]:
    """Return `aggregate_metric_list`: the metrics whose values are averaged over the tasks, and how they are weighed."""
    found = []
    for item in [listed] if isinstance(listed, Mapping) else listed or []:
        weighted = bool(item.get("weight_by_size", True))
        filters = item.get("filter_list")
        names = [filters] if isinstance(filters, str) else filters
        found.append(
            {"metric": str(item["metric"]), "filters": names, "weighting": "documents" if weighted else "tasks"}
        )
    return found


__all__ = ["LmEvalLibrary", "LoadedTask"]
