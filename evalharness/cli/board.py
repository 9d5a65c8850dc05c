"""``evalharness board``: the leaderboard in a browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from evalharness.cli.board_export import register_export
from evalharness.cli.flags import RESULTS_VARIABLE, positive
from evalharness.errors import Problem, UserError
from evalharness.resources import bundled_dir

_EXAMPLES = """Examples:
  evalharness board                                  http://127.0.0.1:8501, over ./results
  evalharness board --results s3://bucket/results    over another store
  evalharness board --port 9000
  evalharness board --host 0.0.0.0 --public-read-only
      for everybody who reaches this machine, without votes
  evalharness board --allowed-host evals.example.org
      behind a proxy of that name; people sign in (see docs/leaderboard.md)
  evalharness board export public                    static pages, for a wiki or a build's artifacts
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `board`."""
    parser = subparsers.add_parser(
        "board",
        help="browse stored runs in a browser",
        description="Serve the leaderboard over stored runs, on this machine alone unless told otherwise.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results", metavar="DIR", help="folder or URL of results (default: $EVALHARNESS_RESULTS, else ./results)"
    )
    parser.add_argument(
        "--votes",
        metavar="PLACE",
        help="SQLite file or postgresql:// URL of people's votes (default: $EVALHARNESS_VOTES, else DIR/arena/votes.sqlite)",
    )
    parser.add_argument(
        "--rubric",
        metavar="CRITERIA",
        help="what single answers are rated by, a comma list (default: $EVALHARNESS_RUBRIC, else accuracy,fluency,relevance)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=positive, default=8501, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that the board is reached under, besides the address that it listens on (repeatable)",
    )
    parser.add_argument(
        "--public-read-only",
        action="store_true",
        help="let everybody who reaches the board read it without signing in; nobody can vote",
    )
    parser.set_defaults(handler=serve)
    register_export(parser)


def serve(args: argparse.Namespace) -> int:
    """Start Streamlit on the leaderboard and wait until it ends; raises UserError where others would reach it unasked."""
    from evalharness.arena.access import (
        ACCESS_VARIABLE,
        allowed_hosts,
        configured_sign_in,
        decide_access,
        is_loopback,
        own_names,
        read_secrets,
        secrets_files,
    )
    from evalharness.arena.store import VOTES_VARIABLE
    from evalharness.arena.votes import RUBRIC_VARIABLE

    if find_spec("streamlit") is None:
        fix = "pip install 'evalharness[leaderboard]'"
        raise UserError(Problem("evalharness board", "streamlit is not installed", fix))
    sign_in = configured_sign_in(*read_secrets(secrets_files()))
    access = decide_access(args.host, args.allowed_host, sign_in, public_read_only=args.public_read_only)
    names = [*args.allowed_host, *([sign_in.host] if sign_in and sign_in.host else [])]
    hosts = allowed_hosts(args.host, names, own_names())
    # threads of linear algebra only wait for each other on the small matrices of pages: a fit takes ten times as long
    environment = {"OMP_NUM_THREADS": "1", **os.environ, ACCESS_VARIABLE: access.text}
    given = {RESULTS_VARIABLE: args.results, VOTES_VARIABLE: args.votes, RUBRIC_VARIABLE: args.rubric}
    environment |= {name: value for name, value in given.items() if value}
    print(f"the leaderboard is at {_address(args.host, args.port)}; stop it with Ctrl-C", flush=True)
    if access.reading != "open" or access.voting == "off" or not all(map(is_loopback, hosts)):
        print(f"reading: {access.reading}; voting: {access.voting}; it answers as: {', '.join(hosts)}", flush=True)
    words = command(args.host, args.port, hosts)
    if os.name == "posix":  # the server takes this process's place, so that whoever stops this stops it
        os.execve(words[0], words, environment)  # noqa: S606  # ours
    return subprocess.run(words, env=environment, check=False).returncode  # noqa: S603  # ours


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def command(host: str, port: int, hosts: Sequence[str]) -> list[str]:
    """Return the command that serves the pages and the interface: no telemetry, no file watching, under these names only."""
    settings: dict[str, Sequence[str]] = {
        "server.address": [host],
        "server.port": [str(port)],
        "server.headless": ["true"],
        "server.fileWatcherType": ["none"],
        "server.allowedHosts": hosts,
        "browser.gatherUsageStats": ["false"],
        "logger.hideWelcomeMessage": ["true"],  # it would ask another site for this machine's public address
        "client.toolbarMode": ["viewer"],
        "client.showErrorDetails": ["type"],
    }
    flags = [part for name, values in settings.items() for value in values for part in (f"--{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(bundled_dir("leaderboard") / "asgi.py"), *flags]
