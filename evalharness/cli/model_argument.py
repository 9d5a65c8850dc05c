"""What `-m` says: a model, and, where they are given, a name for it in this run and settings of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.cli import flags
from evalharness.errors import ModelError, Problem, UserError

if TYPE_CHECKING:
    import argparse

    from evalharness.model.spec import ModelSpec

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)=(.*)", re.DOTALL)
_FORM = "write -m MODEL, or -m NAME=MODEL,FIELD=VALUE,..., such as -m a=./checkpoint,dtype=bfloat16"
#: Fields that may be paths, relative to where the command is given.
_PATH_FIELDS = ("adapter", "chat_template", "tokenizer")


@dataclass(frozen=True, slots=True)
class ModelArgument:
    """One `-m`, taken apart: ``name=place,field=value,...``.

    place: a path, hub id or registered name. settings: ``field=value`` texts, for this model alone; they win over flags
    that hold for all models.
    """

    place: str
    name: str | None = None
    settings: tuple[str, ...] = ()

    def repeatable(self) -> str:
        """Return the argument with absolute paths, so that it means the same from any folder."""
        parts = []
        for text in self.settings:
            field, _, value = text.partition("=")
            parts.append(f"{field}={flags.absolute(value)}" if field in _PATH_FIELDS else text)
        named = f"{self.name}=" if self.name else ""
        return ",".join([f"{named}{flags.absolute(self.place)}", *parts])


def model_argument(text: str) -> ModelArgument:
    """Take one `-m` apart; what names a file, folder or registered model as it stands is not taken apart.

    Raises ModelError for an empty part, or one that is no setting.
    """
    from evalharness.model.registry import model_files

    if not ("=" in text or "," in text) or Path(text).expanduser().exists() or text in model_files():
        return ModelArgument(text)
    head, *settings = text.split(",")
    named = _NAMED.fullmatch(head)
    name, place = (named[1], named[2]) if named else (None, head)
    if not place.strip():
        raise ModelError.at("--model", f"{text!r} names no model", _FORM)
    if name is not None and _is_field(name):
        what = f"{text!r}: `{name}` is a field of a model, and would be taken for its name"
        raise ModelError.at("--model", what, _FORM)
    for setting in settings:
        field, equals, _ = setting.partition("=")
        if not equals or not field.strip():
            what = f"{text!r}: {setting!r} is not of the form FIELD=VALUE"
            raise ModelError.at("--model", what, f"{_FORM}; a value with a comma needs --set model.FIELD=VALUE")
    return ModelArgument(place, name, tuple(settings))


def _is_field(name: str) -> bool:
    from evalharness.model.spec import ModelSpec

    return name in {*ModelSpec.model_fields, "pretrained"}


def models(args: argparse.Namespace) -> list[ModelSpec]:
    """Find the models of a run, with what the flags change of them.

    Raises ModelError with the problems of all, and UserError where two have one name.
    """
    settings = flags.assignments(args.set)
    overrides: dict[str, Any] = {
        key.removeprefix("model."): value for key, value in settings.items() if key.startswith("model.")
    }
    for name in ("device", "dtype", "chat_template", "adapter"):
        if getattr(args, name) is not None:
            overrides[name] = getattr(args, name)
    if args.trust_remote_code:
        overrides["trust_remote_code"] = True
    specs: list[ModelSpec] = []
    problems: list[Problem] = []
    for text in args.model:
        try:
            specs.append(_resolved(model_argument(text), overrides))
        except UserError as fault:
            problems.extend(fault.problems)
    if problems:
        raise ModelError(problems)
    names = [spec.name for spec in specs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        fix = "name them: -m first=MODEL -m second=MODEL,dtype=bfloat16"
        raise UserError.at("--model", f"two models are named `{twice.pop()}`", fix)
    return specs


def judge_model(args: argparse.Namespace) -> ModelSpec | None:
    """Find the model that `--judge` gives to metrics, in the words of `-m`, on the device of the run; None without one.

    Raises ModelError.
    """
    if args.judge is None:
        return None
    device = getattr(args, "device", None)
    try:
        return _resolved(model_argument(args.judge), {} if device is None else {"device": device})
    except UserError as fault:
        found = [Problem(one.where.replace("--model", "--judge"), one.what, one.fix) for one in fault.problems]
        raise ModelError(found) from None


def _resolved(argument: ModelArgument, overrides: dict[str, Any]) -> ModelSpec:
    from evalharness.model.registry import name_of_directory, resolve_model, with_overrides

    own = flags.assignments(argument.settings)
    spec = resolve_model(argument.place, {key: value for key, value in overrides.items() if key not in own})
    spec = with_overrides(spec, own, lambda field: f"--model, its setting {field}")
    if argument.name is not None:
        return spec.model_copy(update={"name": argument.name})
    adapter = own.get("adapter", overrides.get("adapter"))
    if adapter is not None:  # a model with an adapter is another model, and must not look like its base
        return spec.model_copy(update={"name": f"{spec.name}+{name_of_directory(Path(adapter))}"})
    return spec
