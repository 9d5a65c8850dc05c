"""Finds a model by what a person typed: a registered name, a YAML file, a directory, a predictions file, or a hub id.

Registered models are YAML files, one a model, named after it. The search path is: the models that come with the package,
``./configs/models``, the folders of ``EVALHARNESS_MODELS``, and those given on the command line. A name in a later folder
overrides the same name in an earlier one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalharness.errors import ModelError, Problem, UserError, suggest
from evalharness.model.spec import ModelSpec
from evalharness.resources import bundled_dir
from evalharness.yaml_source import Location, problems_of, read_yaml, validated

SEARCH_PATH_VARIABLE = "EVALHARNESS_MODELS"

#: ``organisation/name`` as the hub allows it: letters, digits, ``-``, ``_`` and ``.``.
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
#: What training loops call the folders of their checkpoints; such a name says nothing without its parent's.
_CHECKPOINT_DIR = re.compile(r"(?:checkpoint|ckpt|step|epoch|iter)[-_]?\d*|final|best|last|model", re.IGNORECASE)
#: Fields of a YAML file that may point at a place beside it.
_PATH_FIELDS = ("path", "adapter", "tokenizer", "chat_template", "draft_model")
_SUFFIXES = (".yaml", ".yml")
#: Fields that have a flag of their own on the command line.
_FLAGS = {"dtype": "--dtype", "device": "--device"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model and the file that registers it.

    overridden: the files of the same name in earlier folders of the search path, which this one replaces.
    """

    spec: ModelSpec
    file: Path
    overridden: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """Every registered model in the order of names, and what is wrong with the files that could not be read."""

    models: tuple[RegisteredModel, ...]
    problems: tuple[Problem, ...]


def model_search_path(extra: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return the folders that register models, the strongest last; folders that do not exist are left out."""
    named = [Path(part).expanduser() for part in os.environ.get(SEARCH_PATH_VARIABLE, "").split(os.pathsep) if part]
    folders = [bundled_dir("configs") / "models", Path("configs/models"), *named, *extra]
    # The same folder twice (the source tree is both bundled and ./) must not look like an override: the last place counts.
    by_place = {folder.resolve(): folder for folder in folders if folder.is_dir()}
    last = {folder.resolve(): i for i, folder in enumerate(folders)}
    return tuple(by_place[place] for place in sorted(by_place, key=lambda place: last[place]))


def model_files(search_path: Sequence[Path] | None = None) -> dict[str, tuple[Path, ...]]:
    """Return the files that register each name, the strongest last."""
    found: dict[str, tuple[Path, ...]] = {}
    for folder in model_search_path() if search_path is None else search_path:
        for file in sorted(folder.iterdir()):
            if file.suffix in _SUFFIXES and not file.name.startswith("."):
                found[file.stem] = (*found.get(file.stem, ()), file)
    return dict(sorted(found.items()))


def list_models(search_path: Sequence[Path] | None = None) -> Listing:
    """Read every registered model; a file that is wrong becomes problems and does not hide the others."""
    models: list[RegisteredModel] = []
    problems: list[Problem] = []
    for files in model_files(search_path).values():
        try:
            models.append(RegisteredModel(load_model_file(files[-1]), files[-1], files[:-1]))
        except UserError as fault:
            problems.extend(fault.problems)
    return Listing(tuple(models), tuple(problems))


def load_registered(name: str, search_path: Sequence[Path] | None = None) -> RegisteredModel:
    """Read the registered model `name`. Raises ModelError where the name is unknown or its file is wrong."""
    files = model_files(search_path)
    if name not in files:
        raise ModelError.at("", f"unknown model `{name}`", suggest(name, files, noun="models"))
    *overridden, file = files[name]
    return RegisteredModel(load_model_file(file), file, tuple(overridden))


def load_model_file(file: Path) -> ModelSpec:
    """Read one model's YAML file.

    Paths in it that start with ``./`` or ``../`` are relative to the file. Raises ModelError with file, line and cure for
    each mistake, and where the file's name is not the model's.
    """
    source = read_yaml(file, error=ModelError)
    spec = validated(source, ModelSpec, error=ModelError, noun="model file")
    if spec.name != file.stem:
        fix = f"rename the file to {spec.name}{file.suffix}, or write `name: {file.stem}`"
        raise ModelError.at(source.where(("name",)), f"the file is called {file.name}, the model `{spec.name}`", fix)
    beside = {field: _beside(file, getattr(spec, field)) for field in _PATH_FIELDS}
    return spec.model_copy(update={field: value for field, value in beside.items() if value is not None})


def _beside(file: Path, value: str | None) -> str | None:
    """Resolve `value` against the folder of `file` if it starts with ./ or ../, else return it as it is."""
    if value is not None and value.split("/", 1)[0] in (".", ".."):
        return str((file.parent / value).resolve())
    return value


def resolve_model(
    text: str, overrides: Mapping[str, Any] | None = None, search_path: Sequence[Path] | None = None
) -> ModelSpec:
    """Find the model that `text` names, with `overrides` applied.

    text: in this order a .yaml file, a registered name, a directory, a predictions file (.jsonl, answered by the replay
    backend), or a hub id ``organisation/name``. A hub id that a registered model has as its path is that model, so that its
    card and settings come along. What looks like a path (starts with ``.``, ``/`` or ``~``, or ends with ``/``) is never
    looked up on the hub.
    overrides: dotted field names of ModelSpec and their values, such as ``{"dtype": "float32", "card.family": "x"}``.

    Raises ModelError: nothing of that name, with the nearest names; or an override that ModelSpec refuses.
    """
    return with_overrides(_find(text, search_path), overrides or {})


def _find(text: str, search_path: Sequence[Path] | None) -> ModelSpec:
    path = Path(text).expanduser()
    if not text.strip():
        raise ModelError.at("--model", "the model is empty", "name a registered model, a directory or a hub id")
    if path.suffix in _SUFFIXES and (path.is_file() or looks_like_path(text)):
        return load_model_file(path)
    files = model_files(search_path)
    if text in files:
        return load_model_file(files[text][-1])
    if path.is_dir():
        return _from_directory(path)
    if path.is_file():
        return _from_file(path)
    if looks_like_path(text):
        raise ModelError.at("--model", f"there is no file or directory {text!r}", _nearby(path))
    if _HUB_ID.fullmatch(text):
        return _from_hub_id(text, search_path)
    advice = "give a registered name, the path of a directory, or a hub id such as organisation/name"
    raise ModelError.at("--model", f"unknown model `{text}`", f"{suggest(text, files, noun='models')}\n  {advice}")


def looks_like_path(text: str) -> bool:
    """Whether a person who typed `text` can only have meant a path, never a hub id."""
    return text.startswith((".", "/", "~")) or text.endswith("/") or text.count("/") > 1


def _nearby(path: Path) -> str:
    """Say what lies beside a path that does not exist."""
    parent = path.parent
    if not parent.is_dir():
        return f"the folder {str(parent)!r} does not exist either; check the path and the current directory"
    return suggest(path.name, (entry.name for entry in parent.iterdir()), noun=f"names in {str(parent)!r}")


def _from_directory(path: Path) -> ModelSpec:
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        fix = f"name the model it was trained on, and add --set model.adapter={path}"
        raise ModelError.at("--model", f"{str(path)!r} holds a PEFT adapter, not a whole model", fix)
    return ModelSpec(name=name_of_directory(path), path=str(path))


def _from_file(path: Path) -> ModelSpec:
    if path.suffix == ".jsonl":
        return ModelSpec(name=_sanitised(path.stem), backend="replay", path=str(path))
    fix = "give the directory of a checkpoint, a model's .yaml file, or a .jsonl file of predictions"
    raise ModelError.at("--model", f"{str(path)!r} is a file, not a model", fix)


def _from_hub_id(text: str, search_path: Sequence[Path] | None) -> ModelSpec:
    listing = list_models(search_path)
    for problem in listing.problems:
        logger.warning("passed over a model file: %s", problem)
    same = [model.spec for model in listing.models if model.spec.path == text and model.spec.adapter is None]
    if len(same) == 1:
        return same[0]
    # Both parts, because organisations publish different models under one name.
    return ModelSpec(name=_sanitised(text.replace("/", "--")), path=text)


def name_of_directory(path: Path) -> str:
    """Name a model after its directory; ``run1/checkpoint-500`` becomes ``run1-checkpoint-500``."""
    place = path.resolve()
    if _CHECKPOINT_DIR.fullmatch(place.name) and place.parent.name:
        return _sanitised(f"{place.parent.name}-{place.name}")
    return _sanitised(place.name)


def _sanitised(text: str) -> str:
    """Turn any text into a name that ModelSpec accepts."""
    kept = re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("._+-")
    return kept or "model"


def _flag(dotted: str) -> str:
    """Name the flag of ``evalharness run`` that sets a field."""
    return _FLAGS.get(dotted, f"--set model.{dotted}")


def with_overrides(spec: ModelSpec, overrides: Mapping[str, Any], flag_of: Callable[[str], str] = _flag) -> ModelSpec:
    """Return `spec` with the dotted fields of `overrides` replaced.

    flag_of: names the flag that set a dotted field. Raises ModelError that names the flag of each mistake.
    """
    if not overrides:
        return spec
    data = spec.model_dump()
    problems = []
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        holder: Any = data
        for part in parents:
            # A missing parent is made, so that an unknown one is reported by the model, with near matches.
            holder = holder.setdefault(part, {}) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[last] = value
        else:
            fix = "name a field of the model, see `evalharness models show NAME --json`"
            problems.append(Problem(flag_of(dotted), f"`{'.'.join(parents)}` has no parts", fix))
    if problems:
        raise ModelError(problems)
    try:
        return ModelSpec.model_validate(data)
    except ValidationError as fault:

        def place(location: Location) -> str:
            return flag_of(_setter(location, overrides))

        raise ModelError(problems_of(fault, ModelSpec, place)) from None


def _setter(location: Location, overrides: Mapping[str, Any]) -> str:
    """Return the dotted field whose override set the value at `location`."""
    field = ".".join(map(str, location))
    for dotted in overrides:
        if field == dotted or field.startswith(f"{dotted}.") or dotted.startswith(f"{field}."):
            return dotted
    return field
