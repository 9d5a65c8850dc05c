"""``evalharness score``: score predictions that were made elsewhere, as if a model had just answered."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.cli import flags
from evalharness.cli.model_argument import model_argument
from evalharness.cli.run import exit_code, require_writable, settings_of, task_selection
from evalharness.errors import ModelError, UserError

if TYPE_CHECKING:
    from evalharness.backend.predictions_files import Source
    from evalharness.backend.protocol import Backend, EngineSettings
    from evalharness.model.spec import ModelSpec
    from evalharness.run.matching import Matched
    from evalharness.run.store import ResultStore

#: What no name of a model may hold.
_NO_NAME = re.compile(r"[^A-Za-z0-9._+-]+")
_FORMATS = ("auto", "jsonl", "csv", "lm-eval", "lighteval", "inspect")

EPILOG = """\
Examples:
  evalharness score -t my_task.yaml -p predictions.jsonl --name my-system
      one JSON object a line: {"document_id": "7", "text": "..."}; without ids: in the order of the documents
  evalharness score -t gsm8k -p samples_gsm8k_2026-11-21T04-54-50.jsonl
      what lm-evaluation-harness wrote with --log_samples, filtered and scored anew
  evalharness score -t gsm8k -p 2026-11-21T04-54-56_gsm8k.eval --limit 100
      the first 100 documents of an Inspect log
  evalharness score -t my_task.yaml -p 9f31c2aa --set 'metrics=["chrf"]'
      the answers of a stored run, with another metric
  evalharness score -t my_task.yaml -p 9f31c2aa --judge ./other-judge,chat_template=own
      the same answers, rated by another model, which is asked through its chat template

A document without a prediction, two predictions for one question, and a prediction for an unknown document are errors, and
nothing is stored. docs/models.md describes the files.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "score",
        help="score predictions that were made elsewhere",
        description="Score predictions that were made elsewhere on tasks, and store the result as a run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    flags.add_selection_flags(parser)
    add("-p", "--predictions", required=True, metavar="FILE|RUN", help="a file of predictions, or a stored run")
    add("--format", choices=_FORMATS, default="auto", help="what the file is (default: seen from its content)")
    add("--name", metavar="NAME", help="what to call the system that answered (default: the file's name)")
    add("--shots", "--num_fewshot", type=flags.not_negative, metavar="N", help="shots, as the answers were asked for")
    add(
        "--seed",
        type=flags.not_negative,
        default=0,
        metavar="N",
        help="seed of shots and bootstrap (default: 0)",
    )
    add(
        "--output",
        default=os.environ.get(flags.RESULTS_VARIABLE) or "results",
        metavar="DIR",
        help="where runs are stored and found (default: results)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="change a field of the tasks",
    )
    flags.add_scoring_flags(parser)
    flags.add_task_code_flags(parser)
    flags.add_task_flags(parser)
    parser.set_defaults(handler=score_command, batch_tokens=None, gen_kwargs=None)


def score_command(args: argparse.Namespace) -> int:
    """Match the predictions to documents, score them, and store the run."""
    from evalharness.cli.console import ConsoleProgress, stdout_console
    from evalharness.run.matching import match
    from evalharness.run.pipeline import Work, evaluate
    from evalharness.run.preparation import prepare_all
    from evalharness.run.store import ResultStore
    from evalharness.run.table import results_table

    settings = settings_of(args)
    foreign = [text for text in args.set if text.strip().startswith("model.")]
    if foreign:
        raise UserError.at("--set", f"{foreign[0]!r}: there is no model to change here", "change fields of the tasks")
    selection = task_selection(args)
    store = ResultStore(args.output)
    source = _source(args, store)
    prepared = prepare_all(selection.tasks, settings, chat=False)
    matched = match(source, prepared, settings)
    spec = _spec(args, source)
    require_writable(args.output)
    progress = ConsoleProgress(spec.name)
    if matched.n_left_out:
        progress.note(f"{matched.n_left_out} predictions are for other tasks or documents, and are left out")
    work = Work.of(selection, prepared, settings, _command(args))
    try:
        outcome = evaluate(spec, work, store, progress, lambda spec, engine: _backend(spec, engine, source, matched))
    finally:
        progress.close()
    for event in outcome.record.events:
        if event.name == "assumed":
            progress.note(f"{event.fields['field']}: {event.fields['how']}")
    console = stdout_console()
    console.print(results_table(outcome.record))
    console.print(f"stored in {outcome.where}\n", markup=False, soft_wrap=True)
    console.print(f"next: evalharness runs show {outcome.record.run_id}", markup=False, soft_wrap=True)
    return exit_code([outcome.record])


def _source(args: argparse.Namespace, store: ResultStore) -> Source:
    """Read the predictions: of a file, of a run directory, or of a run in the store."""
    from evalharness.backend.predictions_files import read_source, source_of_text
    from evalharness.run.answers import to_predictions

    given = args.predictions
    path = Path(given).expanduser()
    if path.is_file():
        return read_source(path, args.format)
    if not path.is_dir() and _looks_like_file(given):
        raise ModelError.at(
            "--predictions", f"there is no file {given!r}", "give a file of predictions, or a stored run"
        )
    if args.format not in ("auto", "jsonl"):
        raise UserError.at("--format", f"{given!r} is a run, and no {args.format} file", "leave --format out")
    where, system = store.locate(given), store.load(given).model.name
    return source_of_text(where, to_predictions(store.samples(given)), system)


def _looks_like_file(text: str) -> bool:
    # The id of a run has no suffix.
    return Path(text).suffix in (".jsonl", ".csv", ".parquet", ".json", ".eval")


def _spec(args: argparse.Namespace, source: Source) -> ModelSpec:
    from evalharness.model.spec import ModelSpec

    kept = _NO_NAME.sub("-", Path(source.origin).stem).strip("._+-")
    name = args.name or source.system or kept or "predictions"
    if _NO_NAME.search(name) or not name[0].isalnum():
        raise UserError.at("--name", f"{name!r} cannot name results", "use letters, digits and . _ + -")
    return ModelSpec(name=name, backend="replay", path=source.origin)


def _backend(spec: ModelSpec, engine: EngineSettings, source: Source, matched: Matched) -> Backend:
    from evalharness.backend.protocol import ModelIdentity
    from evalharness.backend.replay import ReplayBackend

    identity = ModelIdentity(
        name=spec.name, backend="replay", path=source.origin, weights=source.digest, extra={"format": source.format}
    )
    return ReplayBackend(identity, matched.predictions, engine)


def _command(args: argparse.Namespace) -> list[str]:
    """Return the arguments that repeat this, whatever the environment's defaults are then."""
    command = ["score", "--tasks", ",".join(args.tasks), "--predictions", args.predictions]
    command += ["--judge", model_argument(args.judge).repeatable()] if args.judge else []
    for name in ("format", "name", "limit", "shots", "seed", "level", "data_root", "output"):
        value = getattr(args, name)
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    for flag, values in (("--set", args.set), ("--tasks-dir", args.tasks_dir)):
        command += [part for value in values for part in (flag, value)]
    names = ("unsafe_code_execution", "trust_metric_code", "trust_task_code", "lm_eval_exact")
    given = [name for name in names if getattr(args, name)]
    return [*command, *(f"--{name.replace('_', '-')}" for name in given)]
