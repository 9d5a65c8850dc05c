"""``evalharness board``: the leaderboard in a browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec

from evalharness.cli.flags import positive
from evalharness.errors import Problem, UserError
from evalharness.resources import bundled_dir

_EXAMPLES = """Examples:
  evalharness board                                  http://127.0.0.1:8501, over ./results
  evalharness board --results s3://bucket/results    over another store
  evalharness board --port 9000
"""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=positive, default=8501, help="port to listen on (default: %(default)s)")
    parser.set_defaults(handler=serve)


def serve(args: argparse.Namespace) -> int:
    """Start Streamlit on the leaderboard's app and wait until it ends."""
    if find_spec("streamlit") is None:
        fix = "pip install 'evalharness[leaderboard]'"
        raise UserError(Problem("evalharness board", "streamlit is not installed", fix))
    environment = dict(os.environ)
    if args.results:
        environment["EVALHARNESS_RESULTS"] = args.results
    print(f"the leaderboard is at http://{args.host}:{args.port}; stop it with Ctrl-C", flush=True)
    return subprocess.run(command(args.host, args.port), env=environment, check=False).returncode  # noqa: S603  # ours


def command(host: str, port: int) -> list[str]:
    """Return the command that serves the app: no telemetry, no file watching, and only for the hosts that it is bound to.

    Without allowed hosts a page of another site could reach the server under a name of its own (DNS rebinding).
    """
    settings = {
        "server.address": [host],
        "server.port": [str(port)],
        "server.headless": ["true"],
        "server.fileWatcherType": ["none"],
        "server.allowedHosts": sorted({host, *_LOOPBACK} if host in _LOOPBACK else {host}),
        "browser.gatherUsageStats": ["false"],
        "client.toolbarMode": ["viewer"],
        "client.showErrorDetails": ["type"],
    }
    flags = [part for name, values in settings.items() for value in values for part in (f"--{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(bundled_dir("leaderboard") / "app.py"), *flags]
