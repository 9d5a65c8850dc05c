"""``evalharness models``: list, show and register models."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.cli import flags
from evalharness.errors import EXIT_OK, ModelError

if TYPE_CHECKING:
    from evalharness.model.registry import RegisteredModel
    from evalharness.model.spec import ModelSpec

EPILOG = """\
Examples:
  evalharness models list                                       every registered model
  evalharness models show gpt2                                  one model's settings and card
  evalharness models add mine --path ./checkpoint --family mine register your own
"""
LIST_EPILOG = """\
Examples:
  evalharness models list
  evalharness models list --json | jq '.[].name'

Models are YAML files in the folders that come with evalharness, ./configs/models, and those of EVALHARNESS_MODELS
(separated by colons); a later folder overrides an earlier one.
"""
SHOW_EPILOG = """\
Examples:
  evalharness models show llama-2-7b
  evalharness models show ./checkpoint --json
"""
ADD_EPILOG = """\
Examples:
  evalharness models add mine --path ./runs/42/checkpoint-500 --family mine --description "the second try"
  evalharness models add mine-lora --path openai-community/gpt2 --adapter ./lora --set dtype=bfloat16
  evalharness models add mine --path org/name --chat-template own --set card.parameters=124000000 --force
"""
#: The flags of `add` and the fields that they set; --set reaches every other field.
ADD_FIELDS = {
    "path": ("path", "directory of the checkpoint, or hub id"),
    "adapter": ("adapter", "directory or hub id of a PEFT adapter to load on top"),
    "architecture": (
        "architecture",
        "decoder, encoder_decoder, masked or classifier (default: read from the checkpoint)",
    ),
    "dtype": ("dtype", "precision of the weights (default: the checkpoint's)"),
    "chat_template": ("chat-template", "none, own, or the path of a .jinja file"),
    "card.description": ("description", "one sentence for the leaderboard"),
    "card.family": ("family", "groups sizes and checkpoints of one model"),
    "card.licence": ("licence", "licence of the weights"),
}
_LOCAL_FIELDS = ("path", "adapter", "tokenizer", "chat_template", "draft_model")
#: Text that YAML reads back as the same text without quotes.
_PLAIN = re.compile(r"(?:\.{1,2}/)?[A-Za-z][A-Za-z0-9_./-]*")
_WORDS_WITH_MEANING = frozenset({"null", "true", "false"})


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``models`` and its subcommands to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "models",
        help="list, show and register models",
        description="List, show and register models.",
        epilog=EPILOG,
        formatter_class=raw,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = commands.add_parser(
        "list",
        help="list the registered models",
        description="List the registered models.",
        epilog=LIST_EPILOG,
        formatter_class=raw,
    )
    listing.add_argument("--json", action="store_true", help="print JSON, one object a model")
    listing.set_defaults(handler=list_command)
    show = commands.add_parser(
        "show",
        help="show one model's settings and card",
        description="Show how a model is loaded, and its card.",
        epilog=SHOW_EPILOG,
        formatter_class=raw,
    )
    show.add_argument("name", metavar="NAME", help="a registered name, a path, or a hub id")
    show.add_argument("--json", action="store_true", help="print JSON with every field")
    show.set_defaults(handler=show_command)
    add = commands.add_parser(
        "add",
        help="register a model",
        description="Register a model: write DIR/NAME.yaml.",
        epilog=ADD_EPILOG,
        formatter_class=raw,
    )
    _add_add_flags(add)
    add.set_defaults(handler=add_command)


def _add_add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the model will be called")
    for field, (flag, meaning) in ADD_FIELDS.items():
        parser.add_argument(f"--{flag}", dest=field, required=field == "path", metavar="VALUE", help=meaning)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any other field, such as context_tokens=2048 or card.release_date=2024-05-01 (repeatable)",
    )
    parser.add_argument(
        "--to", default="configs/models", metavar="DIR", help="folder to write to (default: configs/models)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")


def list_command(args: argparse.Namespace) -> int:
    """Print the registered models; files that are wrong are an error after the others were shown."""
    from evalharness.model.registry import list_models

    listing = list_models()
    if args.json:
        print(_json([_as_data(model) for model in listing.models]))
    else:
        _print_table(listing.models)
    if listing.problems:
        raise ModelError(listing.problems)
    return EXIT_OK


def _print_table(models: tuple[RegisteredModel, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    from evalharness.cli.console import stdout_console

    table = Table(title=f"{len(models)} registered models", title_justify="left")
    for heading in ("name", "architecture", "parameters", "context", "licence", "path"):
        table.add_column(heading, justify="right" if heading in ("parameters", "context") else "left", overflow="fold")
    for model in models:
        spec = model.spec
        cells = (
            spec.name,
            spec.architecture,
            _short_count(spec.card.parameters),
            str(spec.context_tokens or ""),
            spec.card.licence or "",
            _short_path(spec.path) or f"(backend {spec.backend})",
        )
        table.add_row(*map(Text, cells))
    console = stdout_console()
    console.print(table)
    for model in models:
        for file in model.overridden:
            console.print(f"{model.spec.name}: {model.file} overrides {file}", markup=False)


def show_command(args: argparse.Namespace) -> int:
    """Print one model: what is set, and its card."""
    from evalharness.model.registry import load_registered, model_files, resolve_model

    registered = load_registered(args.name) if args.name in model_files() else None
    spec = registered.spec if registered else resolve_model(args.name)
    if args.json:
        data = spec.model_dump(mode="json") if registered is None else _as_data(registered)
        print(_json(data))
    else:
        _print_model(spec, registered)
    return EXIT_OK


def _print_model(spec: ModelSpec, registered: RegisteredModel | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from evalharness.cli.console import stdout_console

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = list(_rows(spec.model_dump(mode="json", exclude_defaults=True)))
    if registered is None:
        rows.append(("registered in", "nowhere: this is what evalharness run would load"))
    else:
        rows.append(("registered in", str(registered.file)))
        rows.extend(("overrides", str(file)) for file in registered.overridden)
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    stdout_console().print(table)


def _rows(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested settings to names and texts, the card's without its prefix."""
    for name, value in data.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _rows(value, "" if name == "card" else f"{label}: ")
        elif isinstance(value, list):
            yield label, "\n".join(map(str, value))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield label, f"{value:,}"
        else:
            yield label, str(value)


def add_command(args: argparse.Namespace) -> int:
    """Check the fields and write the model's file."""
    from evalharness.model.registry import model_files, model_search_path, with_overrides
    from evalharness.model.spec import ModelSpec
    from evalharness.run.atomic import write_atomically

    folder = Path(args.to).expanduser()
    given = {field: value for field in ADD_FIELDS if (value := getattr(args, field)) is not None}
    given |= flags.assignments(args.set)
    fields: dict[str, Any] = {"name": args.name, **given}
    fields |= {name: _stored_path(name, fields[name], folder) for name in _LOCAL_FIELDS if name in fields}
    with_overrides(ModelSpec(name="model"), fields, _add_flag)
    file = folder / f"{args.name}.yaml"
    if file.exists() and not args.force:
        raise ModelError.at(file, "the file exists already", "choose another name, or overwrite it with --force")
    overridden = [other for other in model_files().get(args.name, ()) if other.resolve() != file.resolve()]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "".join(_yaml_lines(_nested(fields))).encode())
    print(f"wrote {file}")
    for other in overridden:
        print(f"  the name is registered in {other} too; the later folder of the search path counts")
    if folder.resolve() not in [place.resolve() for place in model_search_path()]:
        print(f"  to find it by name: export EVALHARNESS_MODELS={folder.resolve()}")
    print(f"  next: evalharness run -m {args.name} -t demo")
    return EXIT_OK


def _add_flag(dotted: str) -> str:
    if dotted == "name":
        return "NAME"
    return f"--{ADD_FIELDS[dotted][0]}" if dotted in ADD_FIELDS else f"--set {dotted}"


def _stored_path(field: str, text: Any, folder: Path) -> Any:
    """Return a local path as the file in `folder` must say it: relative to the file, if it was given relative."""
    from evalharness.model.registry import looks_like_path

    if not isinstance(text, str) or (field == "chat_template" and text in ("none", "own")):
        return text
    path = Path(text).expanduser()
    if not path.exists():
        if looks_like_path(text) or field == "chat_template":
            raise ModelError.at(_add_flag(field), f"there is no file or directory {text!r}", "check the path")
        return text
    if path.is_absolute():
        return str(path)
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return relative if relative.startswith("..") else f"./{relative}"


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested mappings."""
    data: dict[str, Any] = {}
    for dotted, value in fields.items():
        *parents, last = dotted.split(".")
        holder = data
        for part in parents:
            holder = holder.setdefault(part, {})
        holder[last] = value
    return data


def _yaml_lines(data: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Write nested mappings as YAML; what is not a plain word is written as JSON, which YAML 1.2 includes."""
    for name, value in data.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{_yaml_scalar(name)}:\n"
            yield from _yaml_lines(value, f"{indent}  ")
        else:
            yield f"{indent}{_yaml_scalar(name)}: {_yaml_scalar(value)}\n"


def _yaml_scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS_WITH_MEANING:
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _as_data(model: RegisteredModel) -> dict[str, Any]:
    overridden = [str(file) for file in model.overridden]
    return {**model.spec.model_dump(mode="json"), "file": str(model.file), "overridden": overridden}


def _json(data: Any) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=2)


def _short_count(count: int | None) -> str:
    """Write a count of parameters as people say it: 124M, 1.6B."""
    if count is None:
        return ""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _short_path(path: str) -> str:
    """Write a path below the current directory as relative to it."""
    place = Path(path)
    here = Path.cwd()
    return str(place.relative_to(here)) if place.is_absolute() and place.is_relative_to(here) else path
