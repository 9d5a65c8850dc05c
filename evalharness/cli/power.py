"""`evalharness power`: how many documents a margin needs, and what some documents can show."""

from __future__ import annotations

import argparse

from evalharness.cli.console import stdout_console
from evalharness.cli.flags import positive
from evalharness.errors import EXIT_OK

_EXAMPLES = """Examples:
  evalharness power --margin 0.01                       documents that show a drop of at most 1 point
  evalharness power --documents 1319 --tasks 20         drops that a gate of 20 such tasks finds
  evalharness power --margin 0.02 --discordance 0.05    for models that differ on 5 % of the documents

`evalharness gate --calibrate RUN1 RUN2` measures the discordance of a model with itself.
"""
_DISCORDANCES = (0.05, 0.1, 0.2)
_MARGINS = (0.01, 0.02, 0.03, 0.05)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `power`."""
    parser = subparsers.add_parser(
        "power",
        help="plan how many documents a margin needs",
        description="Plan an evaluation: documents for a margin, or the drop that documents can show.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--margin", type=_share, action="append", metavar="M", help="acceptable drop, 0.01 for 1 point")
    parser.add_argument("--documents", type=positive, action="append", metavar="N", help="documents of one task")
    parser.add_argument(
        "--discordance",
        type=_share,
        action="append",
        metavar="Q",
        help="share of documents with another outcome (default: 0.05, 0.1 and 0.2)",
    )
    parser.add_argument(
        "--alpha", type=_share, default=0.05, metavar="A", help="false alarms of the gate (default: 0.05)"
    )
    parser.add_argument("--power", type=_share, default=0.8, metavar="P", help="of true drops found (default: 0.8)")
    parser.add_argument(
        "--tasks", type=positive, default=1, metavar="T", help="tasks that share alpha with their average (default: 1)"
    )
    parser.set_defaults(handler=power_command)


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {number}")
    return number


def power_command(args: argparse.Namespace) -> int:
    """Print documents by margin, or detectable drops by documents."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from evalharness.gate.config import SuiteRule
    from evalharness.gate.error_budget import shares
    from evalharness.stats.power import minimum_detectable_effect, non_inferiority_samples

    discordances = args.discordance or _DISCORDANCES
    heading = [f"{q:.3g} differ" for q in discordances]
    if args.margin or not args.documents:
        table = Table(
            "margin", *heading, box=SIMPLE_HEAD, pad_edge=False, title="documents that show an equal model keeps it"
        )
        for margin in args.margin or _MARGINS:
            needed = (
                non_inferiority_samples(margin, variance=q, alpha=args.alpha, power=args.power) for q in discordances
            )
            table.add_row(f"{margin:.3g}", *(f"{n:,}" for n in needed))
        stdout_console().print(table)
    if args.documents:
        part = shares([args.tasks], [True], SuiteRule().share)[1][0] if args.tasks > 1 else 1.0
        title = f"drop of one of {args.tasks} tasks" if args.tasks > 1 else "drop of the task"
        table = Table("documents", *heading, box=SIMPLE_HEAD, pad_edge=False, title=f"{title} that is found, in points")
        for n in args.documents:
            found = (
                minimum_detectable_effect(n, variance=q, alpha=args.alpha * part, power=args.power, sides="one-sided")
                for q in discordances
            )
            table.add_row(f"{n:,}", *(f"{100 * drop:.1f}" for drop in found))
        stdout_console().print(table)
    print(f"alpha {args.alpha:g}, power {args.power:g}; tests are one-sided, documents paired")
    return EXIT_OK
