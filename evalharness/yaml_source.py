"""YAML files with positions: every value knows its file and line, so that every error can name them.

Scalars follow the YAML 1.2 core schema: ``no``, ``yes``, ``on`` and ``off`` are text, not booleans (a list of the choices
yes and no means what it says), and dates and ``1:30`` stay text. Tags, merge keys and duplicate keys are refused. Anchors
are allowed within a cap on the expanded size, which defuses alias bombs.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evalharness.errors import Problem, UserError, suggest

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 64

Location = tuple[str | int, ...]
Mark = tuple[Path, int]
ModelT = TypeVar("ModelT", bound=BaseModel)

_BaseLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _CoreLoader(_BaseLoader):  # type: ignore[misc]  # the C loader has no static type
    """PyYAML's safe loader with the YAML 1.2 core schema instead of 1.1."""

    yaml_implicit_resolvers: typing.ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _add_resolver(tag: str, pattern: str, first: str) -> None:
    for character in first:
        table = _CoreLoader.yaml_implicit_resolvers.setdefault(character, [])
        table.append((f"tag:yaml.org,2002:{tag}", re.compile(pattern)))


_add_resolver("null", r"^(?:~|null|Null|NULL)$", "~nN")
_CoreLoader.yaml_implicit_resolvers[""] = [("tag:yaml.org,2002:null", re.compile(r"^$"))]
_add_resolver("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_add_resolver("int", r"^[-+]?[0-9]+$", "-+0123456789")
_add_resolver("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789")

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": str,
}


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A parsed YAML file. data: plain dicts, lists and scalars. marks: the file and line of every key and item."""

    path: Path
    data: Any
    marks: Mapping[Location, Mark]

    def where(self, location: Location = ()) -> str:
        """Return ``file:line`` of the value at `location`, or of its nearest known ancestor.

        Parts of `location` that the file does not hold are passed over: pydantic adds such parts for unions.
        """
        known: Location = ()
        for part in location:
            if (*known, part) in self.marks:
                known = (*known, part)
        path, line = self.marks.get(known, (self.path, 1))
        return f"{path}:{line}"


def read_yaml(path: Path, *, error: type[UserError]) -> YamlSource:
    """Read one YAML file.

    Raises `error` with file and line: unreadable, too large, not UTF-8 text, not YAML, several documents, a tag, a
    duplicate key, values nested deeper than `MAX_DEPTH`, a number without end, or anchors that expand beyond `MAX_NODES`
    values.
    """
    text = _read_text(path, error)
    try:
        _refuse_depth_and_tags(path, text, error)
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as fault:
        raise error(_syntax_problem(path, text, fault)) from None
    builder = _Builder(path, error)
    data = None if node is None else builder.build(node, (), 0)
    return YamlSource(path, data, builder.marks)


def _refuse_depth_and_tags(path: Path, text: str, error: type[UserError]) -> None:
    """Look at the file's events before anything recurses: the C composer would overflow its stack and kill the process."""
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_CoreLoader)
    for event in events:
        where = f"{path}:{event.start_mark.line + 1}"
        if getattr(event, "tag", None) is not None:
            raise error.at(where, f"tag `{event.tag}` is not allowed", "remove the tag; values are plain YAML")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise error.at(where, "values are nested too deeply", f"nest at most {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _read_text(path: Path, error: type[UserError]) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            fix = f"keep YAML under {MAX_FILE_BYTES:,} bytes; put documents into a .jsonl file beside it"
            raise error.at(f"{path}:1", f"the file has {size:,} bytes, too many for a YAML file", fix)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise error.at(path, f"cannot be read: {reason}", "check the path and its permissions") from None
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        fix = "save the file as UTF-8 text; a task or model is described in YAML, not in a binary format"
        raise error.at(
            f"{path}:{line}", f"not UTF-8 text (byte {fault.start} is {fault.object[fault.start]:#04x})", fix
        ) from None
    bad = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        fix = "this looks like a binary file; save it as UTF-8 text"
        raise error.at(f"{path}:{line}", f"control character {bad.group()!r} is not allowed in YAML", fix)
    return text


def _syntax_problem(path: Path, text: str, fault: yaml.YAMLError) -> Problem:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    line = mark.line + 1 if mark else 1
    what = getattr(fault, "problem", None) or str(fault).splitlines()[0]
    shown = text.splitlines()[line - 1] if 0 < line <= len(text.splitlines()) else ""
    if "\t" in shown[: len(shown) - len(shown.lstrip())] or "\\t" in what:
        fix = "indent with spaces: YAML does not allow tabs"
    elif "could not find expected ':'" in what or "mapping values are not allowed" in what:
        fix = f"quote text that holds `: `, `{{`, `#` or starts with a special character; the line reads {shown.strip()!r}"
    elif "expected a single document" in what or "another document" in what:
        fix = "keep one YAML document a file (remove the `---`)"
    else:
        fix = f"the line reads {shown.strip()!r}; check quotes, brackets and indentation"
    return Problem(f"{path}:{line}", f"not valid YAML: {what}", fix)


class _Builder:
    """Turns YAML nodes into plain data and records where each value stands."""

    def __init__(self, path: Path, error: type[UserError]) -> None:
        self.path = path
        self.error = error
        self.marks: dict[Location, Mark] = {}
        self.n_nodes = 0

    def build(self, node: Any, location: Location, depth: int) -> Any:
        line = node.start_mark.line + 1
        self.marks.setdefault(location, (self.path, line))
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            fix = "remove the anchors (`&name`, `*name`): they multiply; use `extends:` to share settings"
            raise self._fault(node, f"the file expands to more than {MAX_NODES:,} values", fix)
        if depth > MAX_DEPTH:
            raise self._fault(
                node,
                "values are nested too deeply",
                f"nest at most {MAX_DEPTH} levels; check for an anchor inside itself",
            )
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, location, depth))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*location, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _items(self, node: Any, location: Location, depth: int) -> Iterator[tuple[Any, Any]]:
        seen: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                fix = "quote a template that starts with `{{`; keys must be plain words"
                raise self._fault(key_node, "a key must be a single word, not a list or mapping", fix)
            if key_node.tag == "tag:yaml.org,2002:merge" or key_node.value == "<<":
                raise self._fault(
                    key_node,
                    "merge keys (`<<`) are not supported",
                    "use `extends: other_file.yaml` to inherit settings",
                )
            key = self._scalar(key_node)
            if key is None or isinstance(key, bool) or any(isinstance(key, str) != isinstance(k, str) for k in seen):
                what = f"key `{key_node.value}`: keys are texts, or numbers, but not both in one mapping"
                raise self._fault(key_node, what, "quote the keys that are to be text")
            line = key_node.start_mark.line + 1
            if key in seen:
                raise self._fault(
                    key_node, f"key `{key}` stands twice (first on line {seen[key]})", "remove one of them"
                )
            seen[key] = line
            child: Location = (*location, key if isinstance(key, int) else str(key))
            self.marks[child] = (self.path, line)
            yield key, self.build(value_node, child, depth + 1)

    def _scalar(self, node: Any) -> Any:
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > 4000:
            raise self._fault(node, "a number has more than 4000 digits", "quote it, if it is text")
        value = _SCALARS[node.tag](node.value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._fault(
                node, f"the number {node.value} is too large", "write a smaller one, or quote it, if it is text"
            )
        return value

    def _fault(self, node: Any, what: str, fix: str) -> UserError:
        return self.error.at(f"{self.path}:{node.start_mark.line + 1}", what, fix)


def validated(source: YamlSource, model: type[ModelT], *, error: type[UserError], noun: str = "file") -> ModelT:
    """Check the data of `source` against a pydantic model and return it.

    Raises `error` with one problem for each mistake, all at once: file, line, the offending value, and the nearest known name.
    """
    if source.data is None:
        raise error.at(f"{source.path}:1", "the file is empty", f"write the {noun}, or remove the file")
    if not isinstance(source.data, dict):
        what = f"a {noun} is a mapping of keys to values, this file holds {_kind(source.data)}"
        raise error.at(source.where(), what, "start lines with `key: value`")
    try:
        return model.model_validate(source.data)
    except ValidationError as fault:
        raise error(problems_of(fault, model, source.where)) from None


def problems_of(fault: ValidationError, model: type[BaseModel], where: Callable[[Location], str]) -> list[Problem]:
    """Turn pydantic's errors into problems that name the place, the value and the cure."""
    problems = []
    for item in fault.errors(include_url=False):
        location: Location = tuple(item["loc"])
        field = ".".join(map(str, location))
        if item["type"] == "extra_forbidden":
            known = _fields_at(model, location[:-1])
            place = ".".join(map(str, location[:-1]))
            what = f"unknown field `{location[-1]}`" + (f" in {place}" if place else "")
            problems.append(Problem(where(location), what, suggest(str(location[-1]), known, noun="fields")))
        elif item["type"] == "missing":
            problems.append(Problem(where(location[:-1]), f"field `{field}` is missing", f"add `{location[-1]}:`"))
        elif item["type"] in ("value_error", "assertion_error"):
            what, _, fix = str(item["ctx"]["error"]).partition("\n")
            problems.append(Problem(where(location), f"{field}: {what}" if field else what, fix.strip()))
        else:
            message = item["msg"][0].lower() + item["msg"][1:]
            what = f"{field}: {message}, got {_shown(item['input'])}"
            problems.append(
                Problem(where(location), what, f"correct the value of `{location[-1] if location else ''}`")
            )
    return problems


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = _model_in(current.model_fields[str(part)].annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    """Find the pydantic model inside ``X | None``, ``tuple[X, ...]`` or ``dict[str, X]``."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}.get(
        type(value), "something else"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
