"""``evalharness board export``: the leaderboard as static pages."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

from evalharness.cli.flags import RESULTS_VARIABLE, not_negative
from evalharness.errors import EXIT_OK
from evalharness.resources import bundled_dir

_SCORES = ("normalised", "macro", "micro", "win rate")
_EXAMPLES = """Examples:
  evalharness board export public                       from ./results; open public/index.html
  evalharness board export public --results nightly --suite core
  evalharness board export public --score macro --compare 4
"""


def register_export(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand `export` to the parser of `board`."""
    commands = parser.add_subparsers(metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="write the leaderboard as static pages",
        description="Write leaderboard, task and comparison pages as HTML files that need no server and no network.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="new or empty folder, or one with an older snapshot")
    export.add_argument(
        "--results",
        metavar="DIR",
        default=argparse.SUPPRESS,  # else it would undo `board --results DIR export`
        help="folder or URL of results (default: $EVALHARNESS_RESULTS, else ./results)",
    )
    export.add_argument("--suite", help="suite of the first page (default: the one with most results)")
    export.add_argument(
        "--score", choices=_SCORES, default=_SCORES[0], help="how scores become one (default: %(default)s)"
    )
    export.add_argument(
        "--compare",
        type=not_negative,
        default=6,
        metavar="N",
        help="compare the N best models with each other (default: %(default)s)",
    )
    export.set_defaults(handler=export_pages)


def export_pages(args: argparse.Namespace) -> int:
    """Write the snapshot, and say where it is."""
    from evalharness.run.store import ResultStore

    above = str(bundled_dir("leaderboard").parent)
    if above not in sys.path:
        sys.path.insert(0, above)  # where the modules import `leaderboard` from, in the wheel too
    snapshot = importlib.import_module("leaderboard.snapshot.export")
    begun = time.perf_counter()
    settings = snapshot.SnapshotSettings(args.suite, args.score, args.compare)
    store = ResultStore(args.results or os.environ.get(RESULTS_VARIABLE) or "results")
    written = snapshot.write_snapshot(store, args.folder, settings)
    took = time.perf_counter() - begun
    print(f"{written.n_pages} pages, {written.n_bytes / 1e6:.1f} MB, {took:.1f} s: {args.folder / 'index.html'}")
    return EXIT_OK
