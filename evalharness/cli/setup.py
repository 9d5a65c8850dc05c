"""`evalharness setup`: bring data that metrics need. Nothing is ever fetched without this command."""

from __future__ import annotations

import argparse
from pathlib import Path

from evalharness.errors import EXIT_OK

_WORDNET_EXAMPLES = """Examples:
  evalharness setup wordnet --from /usr/share/wordnet      Debian: apt-get install wordnet-base
  evalharness setup wordnet --from WordNet-3.0/dict        Princeton's archive, unpacked
  evalharness setup wordnet --from wordnet.zip             nltk's archive
  evalharness setup wordnet --download                     fetch nltk's archive

The data folder is EVALHARNESS_DATA_HOME, else $XDG_DATA_HOME/evalharness, else ~/.local/share/evalharness.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `setup` and its own subcommands."""
    setup = subparsers.add_parser(
        "setup",
        help="bring data that metrics need",
        description="Bring data that metrics need. Nothing is fetched without this command.",
        epilog="Examples:\n  evalharness setup wordnet --from /usr/share/wordnet\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = setup.add_subparsers(dest="setup_command", metavar="WHAT", required=True)
    wordnet = inner.add_parser(
        "wordnet",
        help="the dictionary of synonyms for METEOR",
        description="Check WordNet 3.0 and copy it to the data folder, for the metric `meteor`.",
        epilog=_WORDNET_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = wordnet.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from", dest="source", type=Path, metavar="DIR|ZIP", help="a folder or zip with WordNet's files"
    )
    source.add_argument("--download", action="store_true", help="fetch nltk's archive (needs the network)")
    wordnet.set_defaults(handler=setup_wordnet)


def setup_wordnet(args: argparse.Namespace) -> int:
    """Install WordNet and say where."""
    from evalharness.metric.wordnet import download_wordnet, install_wordnet

    folder = download_wordnet() if args.download else install_wordnet(args.source.expanduser())
    print(f"WordNet 3.0 is whole and lies in {folder}")
    return EXIT_OK
