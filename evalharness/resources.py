"""Where data lie: the folders that come with the package, and the folder for what a person brings."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled_dir(name: str) -> Path:
    """Return the folder `name` (``tasks``, ``configs`` or ``leaderboard``) that comes with evalharness.

    An installed wheel carries it inside the package; a source checkout has it at its top level.
    """
    inside = _PACKAGE / "bundled" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def data_home() -> Path:
    """Return the folder for data that metrics need; it may not exist.

    It is EVALHARNESS_DATA_HOME, else ``$XDG_DATA_HOME/evalharness``, else ``~/.local/share/evalharness``.
    """
    if chosen := os.environ.get("EVALHARNESS_DATA_HOME"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "evalharness"
