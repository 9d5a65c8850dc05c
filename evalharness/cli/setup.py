"""`evalharness setup`: bring what metrics need. Nothing is ever fetched without this command."""

from __future__ import annotations

import argparse
from pathlib import Path

from evalharness.errors import EXIT_OK, UserError

_EXAMPLES = """Examples:
  evalharness setup wordnet --from /usr/share/wordnet      29 MB, for the metric `meteor`
  evalharness setup comet                                  1.4 GB without CUDA, for the metric `comet`

The data folder is EVALHARNESS_DATA_HOME, else $XDG_DATA_HOME/evalharness, else ~/.local/share/evalharness.
"""

_COMET_EXAMPLES = """Examples:
  evalharness setup comet                                  make it in the data folder, with pip
  evalharness setup comet --python python3.11 --to /big/comet
  evalharness setup comet --from ~/venvs/comet             register an environment that holds unbabel-comet

unbabel-comet needs older versions of numpy and transformers than evalharness, and so an environment of its own. It takes
about 1.4 GB with a torch for CPUs, several more with CUDA: pip is asked for the same build of torch as is installed here
first. EVALHARNESS_COMET_PYTHON names another environment's python for one command. Models are fetched later, by
unbabel-comet, when the metric `comet` names them.
"""

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
        help="bring what metrics need",
        description="Bring what metrics need. Nothing is fetched without this command.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = setup.add_subparsers(dest="setup_command", metavar="WHAT", required=True)
    _register_wordnet(inner)
    _register_comet(inner)


def _register_wordnet(inner: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    wordnet = inner.add_parser(
        "wordnet",
        help="the dictionary of synonyms for METEOR (29 MB)",
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


def _register_comet(inner: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    comet = inner.add_parser(
        "comet",
        help="the environment of COMET (1.4 GB and more, needs the network)",
        description="Make a virtual environment that holds unbabel-comet, or register one, for the metric `comet`.",
        epilog=_COMET_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = comet.add_argument
    add("--from", dest="source", type=Path, metavar="VENV|PYTHON", help="register an environment that is there")
    add("--python", type=Path, metavar="PYTHON", help="what makes the environment, 3.8 to 3.12 (default: this python)")
    add("--to", type=Path, metavar="DIR", help="where it is made (default: `comet` in the data folder)")
    comet.set_defaults(handler=setup_comet)


def setup_wordnet(args: argparse.Namespace) -> int:
    """Install WordNet and say where."""
    from evalharness.metric.wordnet import download_wordnet, install_wordnet

    folder = download_wordnet() if args.download else install_wordnet(args.source.expanduser())
    print(f"WordNet 3.0 is whole and lies in {folder}")
    return EXIT_OK


def setup_comet(args: argparse.Namespace) -> int:
    """Make or register the environment, and say what it holds."""
    from evalharness.metric.comet_environment import comet_version, create_environment, register_environment

    if args.source is not None and (args.python or args.to):
        raise UserError.at("--from", "an environment that is there is not made", "leave out --python and --to")
    if args.source is not None:
        python = register_environment(args.source.expanduser())
    else:
        python = create_environment(args.to, args.python, tell=lambda text: print(text, flush=True))
    print(f"unbabel-comet {comet_version(python)} works and is run by {python}")
    return EXIT_OK
