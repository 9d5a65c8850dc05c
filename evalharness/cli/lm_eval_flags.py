"""Flags that users of lm-evaluation-harness type: what they become here, or what to write instead.

Only what means the same is taken; a flag that would be half obeyed is an error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalharness.cli import flags
from evalharness.errors import Problem, UserError

if TYPE_CHECKING:
    from evalharness.task.loading import LoadedTask

#: Kinds of model there that are read by transformers, as ours are.
_MODEL_TYPES = ("hf", "hf-auto", "huggingface")
_MODEL_ARGS = {
    "device": "device",
    "dtype": "dtype",
    "max_length": "context_tokens",
    "peft": "adapter",
    "revision": "revision",
    "tokenizer": "tokenizer",
    "trust_remote_code": "trust_remote_code",
}
_GEN_KWARGS = {
    "max_gen_toks": "max_new_tokens",
    "max_new_tokens": "max_new_tokens",
    "num_beams": "beams",
    "repetition_penalty": "repetition_penalty",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "until": "stop",
}


def add_lm_eval_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that have no name of ours; `--num_fewshot` and the like stand beside ours."""
    group = parser.add_argument_group("flags of lm-evaluation-harness")
    add = group.add_argument
    add("--model_args", metavar="K=V,...", help="with --model hf: pretrained=MODEL, and fields of it")
    add("--gen_kwargs", "--gen-kwargs", metavar="K=V,...", help="decoding of the tasks that generate")
    add(
        "--apply_chat_template",
        nargs="?",
        const=True,
        metavar="NAME",
        help="as --chat-template own; shots are turns of their own",
    )
    add("--fewshot_as_multiturn", nargs="?", const=True, metavar="BOOL", help="always so here")
    add("--batch_size", metavar="auto", help="always automatic here; see --batch-tokens")
    add("--log_samples", action="store_true", help="always so here")


def translate_lm_eval_flags(args: argparse.Namespace) -> None:
    """Put what the flags mean into the places of ours; raises UserError with all that cannot be said here."""
    problems: list[Problem] = []
    if args.batch_size is not None and not args.batch_size.startswith("auto"):
        what = f"--batch_size {args.batch_size}: batches are cut by tokens here, not by requests"
        fix = "leave it out for what suits the device, or say how many padded tokens a batch may hold: --batch-tokens N"
        problems.append(Problem("--batch_size", what, fix))
    if isinstance(args.apply_chat_template, str):
        what = f"chat templates are not chosen by a name such as {args.apply_chat_template!r}"
        problems.append(Problem("--apply_chat_template", what, "write --chat-template FILE"))
    elif args.apply_chat_template and args.chat_template not in (None, "own"):
        what = f"it contradicts --chat-template {args.chat_template}"
        problems.append(Problem("--apply_chat_template", what, "leave one of them out"))
    elif args.apply_chat_template:
        args.chat_template = "own"
    if str(args.fewshot_as_multiturn).lower() == "false":
        fix = "write the shots into `prompt:` or `system:` of the task"
        problems.append(Problem("--fewshot_as_multiturn", "shots of a chat are always turns of their own here", fix))
    args.model = _models(args, problems)
    if problems:
        raise UserError(problems)


def _models(args: argparse.Namespace, problems: list[Problem]) -> list[str]:
    """Return the models in our words: ``--model hf --model_args pretrained=X,dtype=Y`` is ``-m X,dtype=Y``."""
    bare = [text for text in args.model if text in _MODEL_TYPES and not Path(text).exists()]
    if args.model_args is None:
        if bare:
            problems.append(Problem("--model", f"`{bare[0]}` names no model", "write -m PATH, or a hub id"))
        return list(args.model)
    if len(args.model) != 1 or not bare:
        what = f"--model_args belongs to one --model {_MODEL_TYPES[0]}, not to {', '.join(args.model)}"
        problems.append(Problem("--model_args", what, "write -m MODEL,FIELD=VALUE,... for each model"))
        return list(args.model)
    given = _pairs("--model_args", args.model_args, problems)
    place = given.pop("pretrained", None)
    if not place:
        problems.append(Problem("--model_args", "there is no pretrained=MODEL", "write -m MODEL"))
    unknown = sorted(set(given) - set(_MODEL_ARGS))
    if unknown:
        fix = (
            f"known are pretrained, {', '.join(_MODEL_ARGS)}; docs/models.md has the fields for --set model.FIELD=VALUE"
        )
        problems.append(Problem("--model_args", f"{', '.join(unknown)}: not to be said in this way here", fix))
    settings = [f"{_MODEL_ARGS[key]}={_as_text(value)}" for key, value in given.items() if key in _MODEL_ARGS]
    return [",".join([str(place), *settings])]


def with_decoding(tasks: Sequence[LoadedTask], text: str) -> list[LoadedTask]:
    """Change how the tasks that generate decode, as `--gen_kwargs` says; the others stay as they are.

    Raises UserError where it says what cannot be, or no task generates.
    """
    settings = {f"output.generate.{name}": value for name, value in _decoding(text).items()}
    generating = [task.spec.kind == "generate" and not task.spec.steps for task in tasks]
    if not any(generating):
        fix = "leave it out; for tasks of several steps, edit their files"
        raise UserError.at("--gen_kwargs", "none of the tasks generates text in one step", fix)
    chosen = [task for task, does in zip(tasks, generating, strict=True) if does]
    changed = iter(flags.with_task_settings(chosen, settings, flag="--gen_kwargs"))
    return [next(changed) if does else task for task, does in zip(tasks, generating, strict=True)]


def _decoding(text: str) -> dict[str, Any]:
    """Read `--gen_kwargs` as fields of ``output.generate``; raises UserError for what has no such field.

    ``do_sample=false`` is temperature 0; ``do_sample=true`` needs a temperature.
    """
    problems: list[Problem] = []
    given = dict(_pairs("--gen_kwargs", text, problems))
    samples = given.pop("do_sample", None)
    temperature = given.get("temperature")
    if samples is False and temperature:
        fix = "leave out one of them"
        problems.append(Problem("--gen_kwargs", f"do_sample=false contradicts temperature={temperature}", fix))
    elif samples is False:
        given["temperature"] = 0.0
    elif samples is True and not temperature:
        problems.append(Problem("--gen_kwargs", "do_sample=true without a temperature above 0", "add temperature=1.0"))
    unknown = sorted(set(given) - set(_GEN_KWARGS))
    if unknown:
        fix = f"known are do_sample, {', '.join(_GEN_KWARGS)}; --set output.generate.FIELD=VALUE sets any field"
        problems.append(Problem("--gen_kwargs", f"{', '.join(unknown)}: not to be said in this way here", fix))
    if problems:
        raise UserError(problems)
    return {_GEN_KWARGS[key]: value for key, value in given.items()}


def _pairs(flag: str, text: str, problems: list[Problem]) -> dict[str, Any]:
    """Read ``k=v,k=v`` or a JSON object; numbers, true, false, null and lists are taken as such, in Python's spelling too."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError as fault:
            problems.append(Problem(flag, f"no JSON object: {fault}", "write k=v,k=v"))
            return {}
        return dict(found) if isinstance(found, Mapping) else {}
    pairs: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            problems.append(Problem(flag, f"{part!r} is not of the form k=v", "write k=v,k=v"))
        pairs[key.strip()] = _value(value)
    return pairs


def _value(text: str) -> Any:
    if text in ("True", "False", "None"):
        text = {"True": "true", "False": "false", "None": "null"}[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
