"""`evalharness gate`: hold a run against baselines, and end with an exit code that a build can stop at."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.cli.console import stdout_console, write_output
from evalharness.cli.flags import add_results_flag, assign, assignments
from evalharness.errors import EXIT_OK, GateError, StoreError

if TYPE_CHECKING:
    from evalharness.gate.config import GateConfig
    from evalharness.gate.sides import MissingBaseline, Side
    from evalharness.gate.verdict import GateVerdict
    from evalharness.run.store import ResultStore
    from evalharness.yaml_source import YamlSource

_EXAMPLES = """Examples:
  evalharness gate --candidate 9f31c2aa
  evalharness gate --baseline main --candidate 9f31c2aa --config nightly --junit gate.xml --markdown gate.md
  evalharness gate --baseline 77ab01cd --candidate 9f31c2aa --set suite.margin=0.02
  evalharness gate --calibrate 77ab01cd 78bc12de    two runs of one model: what can this gate see?

Exit codes: 0 pass (or what the configuration lets through), 1 internal error, 2 a mistake in files or flags,
3 regression, 4 inconclusive where the configuration says fail, 5 not comparable.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `gate`."""
    parser = subparsers.add_parser(
        "gate",
        help="hold a run against a baseline; exit code 3 on regression",
        description="Hold a candidate against baselines, under rules of a YAML file. docs/gate.md explains them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--candidate", metavar="RUN", help="the run that is judged: id, beginning of it, or directory")
    what.add_argument(
        "--calibrate", nargs=2, metavar=("RUN1", "RUN2"), help="two runs of one model: measure noise and resolution"
    )
    parser.add_argument(
        "--baseline",
        action="append",
        metavar="NAME|RUN",
        help="a name in the lock file, or a run (repeatable; default: those of the configuration)",
    )
    parser.add_argument(
        "--config",
        default="default",
        metavar="NAME|FILE",
        help="rules: a YAML file, or a name in configs/gates (default: default)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="overrule a key of the configuration (repeatable)"
    )
    parser.add_argument("--lock", metavar="FILE", help="lock file of baselines (default: that of the configuration)")
    for flag, noun in (("--json", "JSON"), ("--junit", "JUnit XML"), ("--markdown", "Markdown")):
        parser.add_argument(flag, metavar="FILE", help=f"write the verdict as {noun}")
    parser.add_argument("--store", action="store_true", help="keep the verdict in RESULTS/gates, for the leaderboard")
    parser.add_argument("--github-annotations", action="store_true", help="print annotations for GitHub Actions")
    add_results_flag(parser)
    parser.set_defaults(handler=gate_command)


def gate_command(args: argparse.Namespace) -> int:
    """Judge a candidate, or calibrate a gate, and return the exit code."""
    from evalharness.gate.config import check_patterns
    from evalharness.gate.gate import judge_candidate
    from evalharness.gate.history import keep_verdict
    from evalharness.run.store import ResultStore

    config, source = _configuration(args)
    store = ResultStore(args.results)
    if args.calibrate:
        return _calibrate(args, config, store)
    with ExitStack() as stack:
        candidate = open_run(stack, store, args.candidate)
        baselines = [open_baseline(stack, store, Path(config.lock), name) for name in config.baselines]
        tasks = {task for side in (candidate, *baselines) for task in getattr(side, "tasks", ())}
        check_patterns(config, sorted(tasks), source)
        verdict = judge_candidate(source.path.stem, config, candidate, baselines)
    show_verdict(verdict)
    _write_reports(args, verdict)
    if args.store:
        print(f"kept in {keep_verdict(store.root, verdict)}", file=sys.stderr)
    return verdict.exit_code


def _configuration(args: argparse.Namespace) -> tuple[GateConfig, YamlSource]:
    """Return the checked configuration, with what flags overrule, and its source."""
    from evalharness.gate.config import checked_config, find_config, read_gate_config

    source = read_gate_config(find_config(args.config))
    settings = assignments(args.set)
    settings |= {"baselines": args.baseline} if args.baseline else {}
    settings |= {"lock": args.lock} if args.lock else {}
    if isinstance(source.data, dict):
        for key, value in settings.items():
            assign(source.data, key.split("."), value)
    return checked_config(source), source


def open_run(stack: ExitStack, store: ResultStore, run: str) -> Side:
    """Open a committed run as a side of a gate, until the stack is closed; raises what `ResultStore.load` raises."""
    from evalharness.compare.scores import open_scores
    from evalharness.gate.sides import side_of_run

    return side_of_run(stack.enter_context(open_scores(store, run)), run)


def open_baseline(stack: ExitStack, store: ResultStore, lock: Path, name: str) -> Side | MissingBaseline:
    """Open a baseline: a name in the lock file, else a run.

    Raises GateError or StoreError when it is neither, or cannot be read.
    """
    from evalharness.gate.baseline import read_lock, side_of_baseline

    names = read_lock(lock).baselines
    if name in names:
        return side_of_baseline(lock, name)
    try:
        return open_run(stack, store, name)
    except StoreError as fault:
        if os.sep in name or "://" in name or Path(name).exists():
            raise
        if not names:
            return side_of_baseline(lock, name)
        known = f"baselines in {lock}: {', '.join(sorted(names))}"
        raise GateError.at(name, f"neither a baseline nor a run: {fault.problems[0].what}", known) from fault


def show_verdict(verdict: GateVerdict) -> None:
    """Print a verdict: the table, what must be known beside it, and last the verdict itself."""
    from evalharness.gate.render_text import verdict_lines, verdict_table

    stdout_console().print(verdict_table(verdict))
    for line in verdict_lines(verdict):
        print(line)


def _write_reports(args: argparse.Namespace, verdict: GateVerdict) -> None:
    from evalharness.gate.render_github import SUMMARY_VARIABLE, append_summary, workflow_commands
    from evalharness.gate.render_json import to_json
    from evalharness.gate.render_junit import to_junit
    from evalharness.gate.render_markdown import to_markdown

    if args.json:
        write_output(args.json, to_json(verdict).decode())
    if args.junit:
        write_output(args.junit, to_junit(verdict).decode())
    if args.markdown:
        write_output(args.markdown, to_markdown(verdict))
    if args.github_annotations:
        for line in workflow_commands(verdict):
            print(line)
    if os.environ.get(SUMMARY_VARIABLE):
        append_summary(verdict, Path(os.environ[SUMMARY_VARIABLE]))


def _calibrate(args: argparse.Namespace, config: GateConfig, store: ResultStore) -> int:
    """Measure the noise between two runs of one model; the exit code says nothing of the model, only of the measurement."""
    import dataclasses

    from evalharness.gate.calibration import calibrate
    from evalharness.gate.render_calibration import calibration_lines, calibration_table
    from evalharness.run.record import canonical_json

    _refuse(args, ("baseline", "junit", "markdown", "store"))
    with ExitStack() as stack:
        first, second = (open_run(stack, store, run) for run in args.calibrate)
        found = calibrate(config, first, second)
    stdout_console().print(calibration_table(found))
    for line in calibration_lines(found):
        print(line)
    if args.json:
        plain = json.loads(json.dumps(dataclasses.asdict(found)))
        write_output(args.json, canonical_json({"schema_version": 1, **plain}).decode())
    return EXIT_OK


def _refuse(args: argparse.Namespace, names: Sequence[str]) -> None:
    given = [f"--{name}" for name in names if getattr(args, name)]
    if given:
        what = f"{', '.join(given)} cannot be used with it: nothing is judged"
        raise GateError.at("--calibrate", what, "remove the flag, or give --candidate")
