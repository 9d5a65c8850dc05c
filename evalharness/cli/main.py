"""The command ``evalharness``: one parser, one place that turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from evalharness import __version__
from evalharness.cli import arena, baseline, board, compare, gate, metric, models, power, run, runs, score, setup, tasks
from evalharness.cli.console import leave_stdout
from evalharness.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_OK, EvalHarnessError, UserError

EPILOG = """\
Examples:
  evalharness run -m ./my-checkpoint -t demo                 evaluate a checkpoint on a suite
  evalharness run -m gpt2 -t tasks/my_task.yaml --limit 100  a hub model on your own task
  evalharness score -t gsm8k -p predictions.jsonl            answers that were made elsewhere
  evalharness metric bleu -r refs.txt -p preds.txt           two plain files, one segment a line
  evalharness tasks list                                     what can be asked
  evalharness runs list                                      what was stored
  evalharness compare 9f31c2aa 77ab01cd                      which of two runs is better

Exit codes: 0 success, 1 internal error or nothing could be scored, 2 a mistake in files or flags, 3 regression,
4 inconclusive, 5 not comparable, 130 interrupted (start the same command again to go on).
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every subcommand."""
    parser = argparse.ArgumentParser(
        prog="evalharness",
        description="Evaluate language-model checkpoints: numbers with intervals, stored for comparison.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"evalharness {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (run, score, metric, tasks, models, runs, compare, gate, baseline, power, board, arena, setup):
        module.register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user's mistake is shown without a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = build_parser().parse_args(given)
    args.command_line = given
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # broken documents hold lone surrogates
    try:
        code: int = args.handler(args)
        sys.stdout.flush()  # here, where a reader that has gone is understood, and not while Python shuts down
        return code
    except BrokenPipeError:
        leave_stdout()
        return EXIT_OK
    except KeyboardInterrupt:
        print("interrupted; start the same command again to go on where it stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except UserError as error:
        if args.debug:
            raise
        n = len(error.problems)
        print("error:" if n == 1 else f"{n} errors:", file=sys.stderr)
        print(error, file=sys.stderr)
        return error.exit_code
    except EvalHarnessError as error:
        if args.debug:
            raise
        print(f"internal error: {error}\n  this is a defect; run again with --debug and report it", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # the top of the program: no traceback for people, exit code 1
        if args.debug:
            raise
        what = f"internal error: {type(error).__name__}: {error}"
        print(f"{what}\n  run `evalharness --debug ...` for the traceback, and report it", file=sys.stderr)
        return EXIT_INTERNAL
