"""Where the data folders that come with the package lie: in the wheel, or in the source tree."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled_dir(name: str) -> Path:
    """Return the folder `name` (``tasks``, ``configs`` or ``leaderboard``) that comes with evalharness.

    An installed wheel carries it inside the package; a source checkout has it at its top level.
    """
    inside = _PACKAGE / "bundled" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
