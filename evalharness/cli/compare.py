"""`evalharness compare`: which of some runs is better, document by document."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from evalharness.cli.console import stdout_console, write_output
from evalharness.cli.flags import add_results_flag, comma_list, positive
from evalharness.errors import EXIT_NOT_COMPARABLE, EXIT_OK, UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from evalharness.compare.comparison import CompareSettings, Comparison
    from evalharness.compare.flips import ChangedSample

_FORMATS = ("table", "markdown", "json", "csv")
#: What both runs were given, and what differs between them.
_SHARED, _OWN = ("prompt", "choices", "references"), ("responses", "answers", "executions", "scores")

_EXAMPLES = """Examples:
  evalharness compare 9f31c2aa 77ab01cd
  evalharness compare 9f31c2aa 77ab01cd --margin 0.02 --metrics all
  evalharness compare 9f31c2aa 77ab01cd --tasks 'mmlu_*' --samples 3
  evalharness compare before after-1 after-2 --format markdown -o report.md

Exit codes: 0 compared, whatever came of it; 5 nothing could be compared.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `compare`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare stored runs, document by document",
        description="Compare runs with the first one, document by document: better, worse, equivalent, inconclusive, or not"
        " comparable and why. RUN is a run id, the beginning of it or of its last part, or a directory.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("baseline", metavar="BASELINE")
    parser.add_argument("candidates", metavar="CANDIDATE", nargs="+")
    parser.add_argument(
        "--metrics",
        action="append",
        metavar="METRICS",
        help="headline, all, or names of metrics (comma list; default: headline)",
    )
    parser.add_argument("-t", "--tasks", action="append", default=[], metavar="TASKS", help="tasks, globs (comma list)")
    parser.add_argument("--level", type=_level, default=0.95, metavar="P", help="confidence level (default: 0.95)")
    parser.add_argument(
        "--margin",
        type=_margin,
        metavar="M",
        help="a difference that does not matter, such as 0.02: 2 points of a hundred, or 2 %% of a perplexity",
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "bh", "none"),
        default="holm",
        help="for the number of tests in the report (default: holm)",
    )
    parser.add_argument(
        "--on-unpaired",
        choices=("error", "intersect"),
        default="error",
        help="documents that are not the same in both runs: do not compare, or compare the others (default: error)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of random draws (default: 0)")
    parser.add_argument(
        "--samples",
        nargs="?",
        type=positive,
        const=3,
        metavar="N",
        help="show N documents (default: 3) a metric that the candidate lost, and N that it won",
    )
    parser.add_argument("--full", action="store_true", help="show long texts of samples as a whole")
    parser.add_argument("--format", choices=_FORMATS, default="table", help="(default: table)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")
    add_results_flag(parser)
    parser.set_defaults(handler=compare_command)


def _level(text: str) -> float:
    number = float(text)
    if not 0.5 < number < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0.5 and 1, such as 0.95, got {text}")
    return number


def _margin(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, such as 0.02, got {text}")
    return number


def compare_command(args: argparse.Namespace) -> int:
    """Compare runs, and print the report."""
    from evalharness.compare.comparison import compare_runs
    from evalharness.compare.flips import changed_samples
    from evalharness.run.store import ResultStore

    if args.samples and args.format not in ("table", "json"):
        what = f"--format {args.format} has no place for samples"
        raise UserError.at("--samples", what, "use --format table or json, or leave --samples out")
    store = ResultStore(args.results)
    comparison = compare_runs(store, args.baseline, args.candidates, _settings(args))
    if comparison.baseline.where in [each.candidate.where for each in comparison.candidates]:
        print(f"note: {comparison.baseline.run_id} is compared with itself", file=sys.stderr)
    samples = list(changed_samples(store, comparison, args.samples)) if args.samples else []
    if args.format == "table":
        _print_tables(comparison, samples, args)
    else:
        write_output(args.output, _text(comparison, samples, args.format))
    return EXIT_OK if comparison.n_compared else EXIT_NOT_COMPARABLE


def _settings(args: argparse.Namespace) -> CompareSettings:
    from evalharness.compare.comparison import CompareSettings

    return CompareSettings(
        metrics=tuple(comma_list(args.metrics or ["headline"])),
        tasks=tuple(comma_list(args.tasks)),
        level=args.level,
        margin=args.margin,
        correction=args.correction,
        on_unpaired=args.on_unpaired,
        seed=args.seed,
    )


def _text(comparison: Comparison, samples: list[ChangedSample], style: str) -> str:
    from evalharness.compare.report import to_csv, to_json, to_markdown

    if style == "json":
        return to_json(comparison, [dataclasses.asdict(sample) for sample in samples])
    return to_markdown(comparison) if style == "markdown" else to_csv(comparison)


def _print_tables(comparison: Comparison, samples: list[ChangedSample], args: argparse.Namespace) -> None:
    import io

    from rich.console import Console

    from evalharness.compare.table import comparison_tables

    parts: list[RenderableType] = list(comparison_tables(comparison))
    for sample in samples:
        parts.extend(_side_by_side(sample, full=args.full))
    if args.output is None:
        console = stdout_console()
        for part in parts:
            console.print(part)
        return
    console = Console(file=io.StringIO(), width=160, highlight=False)
    console.print(*parts, sep="\n")
    write_output(args.output, console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO


def _side_by_side(sample: ChangedSample, *, full: bool) -> list[Any]:
    """Return what both runs were given, and below it what each made of it."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from evalharness.cli.sample_text import block, sample_parts
    from evalharness.escaping import inert

    one, other = (sample_parts(side, full=full) for side in (sample.baseline, sample.candidate))
    title = f"{sample.task} · document {sample.baseline['document_id']} · {sample.metric} {sample.outcome}"
    table = Table(box=SIMPLE, pad_edge=False, expand=False)
    for name in ("", "baseline", "candidate"):
        table.add_column(name, overflow="fold")
    for name in _OWN:
        if one[name] or other[name]:
            table.add_row(*(Text(inert(text)) for text in (name, one[name], other[name])))
    return [Text(block(title, {name: one[name] for name in _SHARED})), table]
